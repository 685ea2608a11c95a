"""Two caches side by side: each operation is done on both, and what both did is examined.

- `mirror`: makes a candidate do what a reference did; `begun` is what it knows between the two
- `shadow_cache`: a mirror behind the face of one cache, which drives the reference itself
- `side`: the only place that calls a cache; `timeout` ends calls that never return
- `producer`, `loans`: what the candidate is given to copy, and what it lends, are looked at again
- `examination`, `queue`: takes fingerprints and has events examined, at once or, for a GPU, in batches
- `counting`, `evidence`: how many operations there were, and what else is kept of a run
- `locking`: several threads may call a shadow; they take turns
"""
