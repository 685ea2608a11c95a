"""Driving caches: scenarios and traces become operations."""
