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
CACHES = (
    "A cache is named as in `kvparity list`, or by package.module:attribute, or by\n"
    "path/to/file.py:attribute. Modules are searched in the working directory first."
)


def add_comparison_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that drive both caches."""
    add_cache_options(parser)
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--compare",
        choices=("bitwise", "tolerance"),
        default="bitwise",
        help="compare every bit of a value (bitwise, the default), or its numbers within a tolerance",
    )
    group.add_argument(
        "--rtol", type=float, metavar="R", help="relative tolerance (default: as in torch.testing, by dtype)"
    )
    group.add_argument(
        "--atol", type=float, metavar="A", help="absolute tolerance (default: as in torch.testing, by dtype)"
    )
    add_patience_option(group)
    add_output_options(parser, fail_on="behaviour")


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    """Add `--reference` and `--candidate`."""
    group = parser.add_argument_group("caches", CACHES)
    group.add_argument(
        "--reference",
        default=DEFAULT_REFERENCE,
        metavar="NAME",
        help=f"the trusted cache, which the candidate is compared with (default {DEFAULT_REFERENCE})",
    )
    group.add_argument(
        "--candidate",
        default=DEFAULT_CANDIDATE,
        metavar="NAME",
        help=f"the cache under test (default {DEFAULT_CANDIDATE})",
    )


def add_patience_option(parser: argparse._ActionsContainer) -> None:
    """Add `--patience`, which every command has that calls users' caches."""
    parser.add_argument(
        "--patience",
        type=seconds_or_none,
        default=DEFAULT_S,
        metavar="T",
        help=f"give up on a cache when one call takes longer than this, such as 90s; or none (default {DEFAULT_S:g}s)",
    )


def add_config_option(parser: argparse._ActionsContainer) -> None:
    """Add `--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="read settings from FILE (default ./kvparity.toml)")


def add_output_options(parser: argparse.ArgumentParser, *, fail_on: str | None) -> None:
    """Add the options that `conclude` reads.

    Args:
        parser: where to add them.
        fail_on: the default of `--fail-on`; None if the settings may have one.
    """
    group = parser.add_argument_group("result")
    group.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default=fail_on,
        help="exit with status 1 if a difference is at least this severe (default behaviour)",
    )
    add_config_option(group)
    group.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    group.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write an HTML page, with the JSON beside it; needs the extra `report`",
    )
    group.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI")
    group.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write a summary in GitHub's Markdown, for CI; appends to $GITHUB_STEP_SUMMARY, replaces any other file",
    )
    group.add_argument("--quiet", action="store_true", help="print the verdict only")
