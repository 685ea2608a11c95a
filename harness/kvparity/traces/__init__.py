"""Recorded operations: `.kvtrace` files, written, read, and fetched from elsewhere."""
