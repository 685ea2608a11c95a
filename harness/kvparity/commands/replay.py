"""`kvparity replay`: compares both caches on recorded operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvparity.commands.argument_types import at_least
from kvparity.commands.as_campaign import add_campaign_options, is_campaign
from kvparity.commands.command import Command
from kvparity.commands.session import Session
from kvparity.commands.shared_options import add_comparison_options
from kvparity.registry import trace_path
from kvparity.traces.remote import is_url

if TYPE_CHECKING:
    import argparse


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace", nargs="+", metavar="TRACE", help="a .kvtrace file, a URL, or the name of a bundled trace"
    )
    parser.add_argument(
        "--steps", type=at_least(1), metavar="N", help="replay only the first N operations of each trace (default: all)"
    )
    add_comparison_options(parser)
    add_campaign_options(parser)


def _replay(options: argparse.Namespace) -> int:
    """Replay each trace once, one after the other or as a campaign.

    Raises:
        UsageError: a trace or a cache cannot be found, or a file cannot be written.
        UnusableCacheError: a cache cannot be built.
        TraceError: a file is not a trace.
    """
    session = Session(options)
    names = list(dict.fromkeys(options.trace))
    with session:
        if is_campaign(options):
            result = session.campaign().replay(names, steps=options.steps)
            session.add(result, files=[trace_path(name) for name in names if not is_url(name)])
        else:
            session.traces(names, steps=options.steps)
    return session.finish()


COMMAND = Command(
    name="replay",
    summary="compare both caches on recorded operations (traces)",
    details="A trace holds the operations of a real training, or of an earlier `kvparity run`.",
    example="kvparity replay cartpole-unizero-100sims --reference legacy-released",
    add_options=_add_options,
    run=_replay,
)
