"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.commands.argument_types import seconds_or_none
from kvparity.registry import DEFAULT_CANDIDATE, DEFAULT_REFERENCE
from kvparity.results.result import FAIL_ON
from kvparity.shadow.timeout import DEFAULT_S

if TYPE_CHECKING:
    import argparse

DEFAULT_STEPS = 20_000
CACHE = "a name from `kvparity list`, fault:NAME, or package.module:attribute"


def add_comparison_options(parser: argparse.ArgumentParser) -> None:
    """Those of the commands that drive both caches."""
    add_side_options(parser)
    parser.add_argument("--compare", choices=("bitwise", "tolerance"), default="bitwise")
    parser.add_argument("--rtol", type=float, help="with --compare tolerance; default as in torch.testing")
    parser.add_argument("--atol", type=float, help="with --compare tolerance; default as in torch.testing")
    add_patience_option(parser)
    add_output_options(parser, fail_on="behaviour")


def add_side_options(parser: argparse.ArgumentParser) -> None:
    """`--reference` and `--candidate`."""
    parser.add_argument("--reference", default=DEFAULT_REFERENCE, metavar="NAME", help=f"side that serves: {CACHE}")
    parser.add_argument("--candidate", default=DEFAULT_CANDIDATE, metavar="NAME", help=f"side on trial: {CACHE}")


def add_patience_option(parser: argparse.ArgumentParser) -> None:
    """`--patience`, of every command that calls caches of strangers."""
    parser.add_argument(
        "--patience",
        type=seconds_or_none,
        default=DEFAULT_S,
        metavar="T",
        help=f"how long a call of a cache may take before it is given up, as 90s; or none (default {DEFAULT_S:g}s)",
    )


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """`--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (default ./kvparity.toml)")


def add_output_options(parser: argparse.ArgumentParser, *, fail_on: str | None) -> None:
    """What becomes of a result, as `conclude` reads it.

    Args:
        parser: to add them to.
        fail_on: the default of `--fail-on`; None where the settings have one.
    """
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default=fail_on,
        help="exit with 1 from this severity on (default behaviour)",
    )
    add_config_option(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write the report as an HTML page, and the JSON result"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write a summary in GitHub's Markdown, for CI; $GITHUB_STEP_SUMMARY is added to, another file replaced",
    )
    parser.add_argument("--quiet", action="store_true", help="print the verdict only")
