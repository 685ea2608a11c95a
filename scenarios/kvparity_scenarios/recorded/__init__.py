"""Traces of real trainings. README.md in this folder says how each was made; `record.py` makes them again."""

from pathlib import Path

CARTPOLE_UNIZERO = Path(__file__).with_name("cartpole-unizero.kvtrace")
CARTPOLE_UNIZERO_100SIMS = Path(__file__).with_name("cartpole-unizero-100sims.kvtrace")
