"""Showing results: on a terminal, as JSON, as a page. None of them decides anything."""

from kvparity.report.html import make_sure_it_can_be_made
from kvparity.report.output_files import write_page
from kvparity.report.terminal import Progress, render, verdict_line

__all__ = [
    "Progress",
    "make_sure_it_can_be_made",
    "render",
    "verdict_line",
    "write_page",
]
