"""kvparity inside real training runs."""
