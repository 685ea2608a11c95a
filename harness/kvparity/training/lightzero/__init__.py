"""Hearing what LightZero's world models do with their caches, without a change to LightZero."""
