"""The protocol of a cache, the adapter for managers, and calls that turn exceptions into outcomes."""
