"""What is right, and who is wrong. Everything here reads records of what happened; nothing here calls a cache.

- `outcome`, `events`, `side_record`: what a side did, what both did in an operation, what was seen of a side in all
- `oracle`: the truth: what was last set under each key, and what an ideal pool of each strategy would hold
- `examiner`: compares events with the truth, and brings every disagreement before the judge
- `judge`, `statistics`: which kind of divergence it is, and who is wrong; in answers, and in reported statistics
- `explain`: why, in one sentence
- `linearity`: did a cache that several threads called behave as one with one thread could have?
"""
