"""Showing results: on a terminal, as JSON, as a page. None of them decides anything."""

from harness.report.files import write_json, write_page, write_text
from harness.report.html import make_sure_it_can_be_made
from harness.report.reading import read_result
from harness.report.terminal import Progress, render, verdict_line

__all__ = [
    "Progress",
    "make_sure_it_can_be_made",
    "read_result",
    "render",
    "verdict_line",
    "write_json",
    "write_page",
    "write_text",
]
