"""The lines of `benchmarks/targets.py`. Each module has one group and says what is divided by what."""

from lines import footprint, growing, recorded, searching, shadowing
from lines.measuring import Effort, Line, Ratio, Row, measure

ALL = (*searching.LINES, *shadowing.LINES, *recorded.LINES, *growing.LINES, *footprint.LINES)

__all__ = ["ALL", "Effort", "Line", "Ratio", "Row", "measure"]
