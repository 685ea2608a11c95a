"""Looking for operations that tell two caches apart, and making them few."""
