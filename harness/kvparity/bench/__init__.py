"""`kvparity bench`: what caches cost, side by side, and which pool sizes a workload needs.

`measure`, `timing`, `counts`, `memory` and `conditions` measure a `workload`. `result` and `estimate` hold what was
measured, `json_file` writes and reads it, `baseline` compares it with an earlier bench, `tables` and `miss_curves`
print it. `pool_sizes` needs no cache and no clock.
"""
