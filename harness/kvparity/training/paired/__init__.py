"""The same training under one seed with each cache, and what differs."""
