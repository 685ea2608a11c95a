"""Hearing what LightZero's world models do with their caches, without a change to LightZero.

- `models`: recognises policies and world models
- `hook`: meets each world model in a program that does not know of kvparity
- `tap`: takes the place of a model's caches, and tells listeners what the model did
- `rings`, `managers`: the taps for LightZero 0.2.0, and for a later one
"""
