"""A result as one HTML page that opens from disk, without network, server or other files.

- `page`: puts all parts into the template in `parts/`, and sets the policy
- `heading`: the verdict at the top
- `tables`, `charts`: the numbers of a result as rows, and as columns to draw
- `divergences`: groups, the list, and the histories of keys
- `minimize_commands`: commands that minimize a divergence
- `formatting`: numbers as text
- `requirements`: whether the packages for pages are installed
"""

from kvparity.report.html.page import render_page
from kvparity.report.html.requirements import make_sure_it_can_be_made

__all__ = ["make_sure_it_can_be_made", "render_page"]
