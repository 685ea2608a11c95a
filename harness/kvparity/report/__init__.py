"""Showing results and verdicts. Nothing here decides anything.

- `terminal`, `console`: a result on a terminal, on which no text can do anything but be read
- `verdict_text`: a verdict on a terminal, and as a document in Markdown
- `markdown`, `junit`: a result for CI
- `failure`: divergences as the text of a failing test
- `html`: a result as one page; `output_files`: the files of reports
- `result.schema.json`: the schema of JSON results
"""

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
