"""Whether the packages for pages are installed; the extra `report` brings them."""

from __future__ import annotations

from importlib.util import find_spec

from kvparity.errors import UsageError

PACKAGES = ("jinja2", "plotly")


def make_sure_it_can_be_made() -> None:
    """Check the packages, before any work that ends in a page.

    Raises:
        UsageError: a package is missing.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"the HTML report needs {' and '.join(missing)}: pip install 'kvparity[report]', or use --json, which needs"
            " no package"
        )
