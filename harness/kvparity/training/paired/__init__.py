"""The same training twice: served by either cache."""
