"""A candidate that shadows a training inside its process, and the guard around it.

- `attachment`: `attach`, all shadowed models of a training
- `shadowed_model`: one world model and the candidate that shadows it
- `trail`: operations that wait until the candidate does them
- `usable_answers`: which answers of a candidate a model can work with
- `guard`: takes the candidate out if it costs too much
- `error_limit`, `time_budget`, `memory_limit`, `random_watch`: the limits that the guard combines
- `host_state`: random states and modes of torch, which belong to the training
"""
