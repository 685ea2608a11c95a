"""Shadowing a training from inside its process."""
