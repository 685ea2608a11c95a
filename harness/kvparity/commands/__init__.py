"""The commands of `kvparity`. Each is a module with its help, its arguments and its run, as a `Command`.

Several commands share their options (`shared_options`, `argument_types`), the way in which they run workloads
(`session`, `as_campaign`), and the way in which they end (`conclusion`, `exit_status`, `termination`).
"""
