"""Traces, which are recorded operations: `.kvtrace` files (docs/trace-format.md).

- `reader`: `Trace`, an opened file, and what is in it
- `writer`: `TraceWriter`, a thread that writes a new file while the recorded program runs
- `rows`, `chunks`: how operations become rows, and values become chunks, and back
- `sqlite_file`: opening a file that may come from anybody
- `remote`: traces at any URL
"""
