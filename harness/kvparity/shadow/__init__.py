"""Two caches side by side: each operation is done on both, and every answer is looked at."""
