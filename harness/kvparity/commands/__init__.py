"""The commands of `kvparity`: a module for each, with its doc, its arguments and its run, as a `Command`.

What several share: their arguments (`shared_options`, `argument_types`), a run of workloads one after the other
(`session`) or as a campaign (`as_campaign`), and how a command ends (`conclusion`, `exit_status`, `termination`).
"""
