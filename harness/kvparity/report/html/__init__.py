"""The report as one HTML page that opens from disk: no network, no server, no other file."""

from kvparity.report.html.page import render_page
from kvparity.report.html.requirements import make_sure_it_can_be_made

__all__ = ["make_sure_it_can_be_made", "render_page"]
