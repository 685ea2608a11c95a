"""Showing results: on a terminal, as JSON, as a page. None of them decides anything."""

from harness.report.files import write_json, write_page, write_text
from harness.report.reading import read_result
from harness.report.terminal import Progress, render, verdict_line

__all__ = ["Progress", "read_result", "render", "verdict_line", "write_json", "write_page", "write_text"]
