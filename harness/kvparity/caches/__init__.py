"""What a cache is, how anything shaped like one becomes one, and what its exceptions mean."""
