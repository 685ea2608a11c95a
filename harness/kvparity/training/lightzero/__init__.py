"""Listening to LightZero's world models."""
