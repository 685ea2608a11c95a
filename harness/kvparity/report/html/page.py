"""A result as one page, which contains everything that it needs."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from kvparity.report.html import charts, tables
from kvparity.report.html.divergences import BLAME, dumped, groups, listing
from kvparity.report.html.formatting import number
from kvparity.report.html.heading import heading_of
from kvparity.report.html.requirements import make_sure_it_can_be_made

if TYPE_CHECKING:
    from kvparity.results.result import Result
    from kvparity.settings import Thresholds

MOST_SECTIONS = 64
_SCRIPTS = ("charts.js", "browser.js")


def render_page(result: Result, *, fail_on: str, thresholds: Thresholds | None = None) -> str:
    """The whole page.

    It loads nothing. Plotly is in it, compressed, and is unpacked when the browser has time or a chart comes into view.
    The policy of the page allows only these scripts, and no connection: text from a trace, a path or a message of a
    cache could do nothing even if it were not escaped.

    Args:
        result: one run, or several added up.
        fail_on: the severity that `--fail-on` counts.
        thresholds: of the verdict; None for the defaults.

    Raises:
        UsageError: a package for pages is missing.
    """
    make_sure_it_can_be_made()
    import jinja2  # noqa: PLC0415  of the extra `report`
    from markupsafe import Markup  # noqa: PLC0415  the same

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(_file),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count_of"] = number
    script = "\n".join(_file(name) for name in _SCRIPTS)
    source, packed = _plotly()
    runs = result.single_runs
    data: dict[str, Any] = {
        "divergences": listing(result),
        "blame": BLAME,
        "runs": [run.workload for run in runs],
        "charts": [charts.chart_data(run, runs=len(runs)) for run in runs[:MOST_SECTIONS]],
    }
    return environment.get_template("page.html").render(
        result=result,
        verdict=heading_of(result, fail_on=fail_on, thresholds=thresholds),
        runs=[_section(run) for run in runs[:MOST_SECTIONS]],
        all_runs=runs,
        groups=groups(result),
        blame=BLAME,
        compared=tables.compared(result),
        origin=tables.origin(result),
        exercised=tables.exercised(result),
        exercised_columns=tables.EXERCISED_COLUMNS,
        variety=tables.variety(result),
        facets=_facets(data["divergences"]),
        listed=len(data["divergences"]["rows"]),
        style=Markup(_file("page.css")),  # noqa: S704  ours
        script=Markup(script),  # noqa: S704  ours
        data=Markup(dumped(data)),  # noqa: S704  escaped there
        plotly=packed,
        policy=_policy(script, source),
    )


def _section(run: Result) -> dict[str, Any]:
    return {
        "run": run,
        "compared": tables.compared(run),
        "pools": tables.pools(run),
        "pool_names": charts.pool_names(run),
        "pace": charts.pace_rows(run),
        "pool_rows": {pool: charts.pool_rows(run, pool) for pool in charts.pool_names(run)},
        "memory": charts.memory_rows(run),
        "latency_kinds": charts.latency_kinds(run),
        "latency": charts.latency_rows(run),
    }


def _facets(listed: dict[str, Any]) -> dict[str, list[str]]:
    """The values by which the list can be filtered."""
    return {
        name: sorted({row[listed["columns"].index(name)] for row in listed["rows"]})
        for name in ("kind", "wrong", "pool")
    }


def _policy(*scripts: str) -> str:
    """The Content-Security-Policy. Plotly sets style attributes, which hashes cannot allow; no style loads anything."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    nothing = "default-src 'none'; base-uri 'none'; form-action 'none'"
    return f"{nothing}; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"


@cache
def _plotly() -> tuple[str, str]:
    """Plotly's JavaScript, and the same compressed: a page has 2 MB instead of 5."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  of the extra `report`, and slow to import

    source: str = get_plotlyjs()
    return source, base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode()


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("parts").joinpath(name).read_text(encoding="utf-8")
