"""A candidate in the process of the training that it shadows."""
