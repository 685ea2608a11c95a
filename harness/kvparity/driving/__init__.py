"""Driving caches: the operations of scenarios and traces are done to two caches.

- `driver`: `Driver` does an operation to a cache, with the habits of the real producer and consumer
- `comparison`: `Comparison` runs scenarios and traces through two caches and returns a result
"""
