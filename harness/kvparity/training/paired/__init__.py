"""The same training under one seed with each cache, and what differs.

- `one_run`: one training, in a process of its own
- `serving`: the cache that serves it
- `seeding`: makes it repeat itself
- `observing`, `curves`: what it logs, and where two trainings differ
- `outcome`: the verdict
"""
