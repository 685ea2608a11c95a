"""Whether what a page is made with is installed: it comes with the extra `report`."""

from __future__ import annotations

from importlib.util import find_spec

from kvparity.errors import UsageError

PACKAGES = ("jinja2", "plotly")


def make_sure_it_can_be_made() -> None:
    """Before work is done that ends in a page.

    Raises:
        UsageError: a package is missing.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"the HTML report needs {' and '.join(missing)}, which the extra `report` installs:"
            " pip install 'kvparity[report]'; --json needs nothing"
        )
