"""Showing results: on a terminal, as JSON, as a page. None of them decides anything."""

from kvparity.report.files import write_json, write_page, write_text
from kvparity.report.html import make_sure_it_can_be_made
from kvparity.report.terminal import Progress, render, verdict_line
from kvparity.results.reading import read_json, read_result, result_of

__all__ = [
    "Progress",
    "make_sure_it_can_be_made",
    "read_json",
    "read_result",
    "render",
    "result_of",
    "verdict_line",
    "write_json",
    "write_page",
    "write_text",
]
