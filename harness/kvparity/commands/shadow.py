"""`kvparity shadow`: runs an unchanged training script, and compares a candidate with its caches on the way."""

from __future__ import annotations

import argparse
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kvparity.caches.exceptions import reraise_if_interrupt
from kvparity.caches.protocol import CacheSpec
from kvparity.commands.argument_types import at_least
from kvparity.commands.command import Command
from kvparity.commands.conclusion import check_files, conclude, say
from kvparity.commands.exit_status import PARITY
from kvparity.commands.shared_options import add_output_options, add_patience_option
from kvparity.commands.termination import termination_deferred
from kvparity.errors import UsageError, warn
from kvparity.registry import DEFAULT_CANDIDATE, build_cache
from kvparity.report.console import open_console
from kvparity.results.result import FAIL_ON
from kvparity.settings import read_settings
from kvparity.traces.writer import TraceWriter
from kvparity.training.inline.attachment import Attachment
from kvparity.training.lightzero.hook import WorldModelHook
from kvparity.training.limits import Limits
from kvparity.training.live import Heartbeat, LiveView, Screen, Sink
from kvparity.training.options import ON_DIVERGENCE, SERVE, Options
from kvparity.training.ranks import PATIENCE_S, Gathering, Rank
from kvparity.training.recorder import Recording
from kvparity.training.script import INTERRUPTED, TERMINATED, run_as_main

if TYPE_CHECKING:
    from types import FrameType

    from kvparity.results.result import Result
    from kvparity.settings import Settings

_CHOICES = ("reference", "candidate", "serve", "on-divergence", "compare-every", "max-share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """A script that has ended, with or without an error.

    Attributes:
        result: what shadowing found.
        status: the script's own exit status.
    """

    result: Result
    status: int


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments. The default None means: what the settings say, or else the default of `Options`."""
    parser.add_argument("-m", dest="module", action="store_true", help="run a module, as `python -m` does")
    parser.add_argument("target", metavar="SCRIPT", help="a training script, or with -m the name of a module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the script")
    parser.add_argument(
        "--reference", metavar="NAME", help="how the report names LightZero's own caches (default lightzero)"
    )
    parser.add_argument(
        "--candidate",
        metavar="NAME",
        help=f"the cache under test, named as in `kvparity run --help` (default {DEFAULT_CANDIDATE})",
    )
    parser.add_argument("--serve", choices=SERVE, help="which cache's answers the training gets (default reference)")
    parser.add_argument(
        "--on-divergence",
        choices=ON_DIVERGENCE,
        help="what happens in the training at a divergence, besides recording it: nothing (record), a warning at the"
        " first of each kind (warn, the default), an exception (raise), or the candidate is taken out (detach)",
    )
    parser.add_argument(
        "--compare-every", type=at_least(1), metavar="N", help="compare only each N-th lookup (default 1)"
    )
    parser.add_argument(
        "--max-share",
        type=_share,
        metavar="S",
        help="share of wall time that shadowing may take, or none; ten times as much if the candidate serves"
        " (default 0.05)",
    )
    add_patience_option(parser)
    parser.add_argument("--record", type=Path, metavar="FILE", help="record the operations in a new .kvtrace file")
    parser.add_argument(
        "--ranks",
        type=Path,
        default=Path("kvparity-ranks"),
        metavar="DIR",
        help="under torchrun: a folder that all ranks share, in which rank 0 collects the results"
        " (default ./kvparity-ranks)",
    )
    parser.add_argument("--live", action="store_true", help="show the progress on stderr")
    parser.add_argument(
        "--heartbeat", type=Path, metavar="FILE", help="append the progress to a file, as lines of JSON"
    )
    add_output_options(parser, fail_on=None)


def _shadow(options: argparse.Namespace) -> int:
    """Shadow this process of a training; rank 0 reports on all. The script's own exit status comes before ours.

    Raises:
        UsageError: the script, module or candidate does not exist, an option has a value that is not allowed, or a file
            cannot be written.
        UnusableCacheError: the candidate cannot be built.
        TraceError: the recording cannot be written.
    """
    settings = read_settings(options.config)
    options.fail_on = options.fail_on or settings.shadow.get("fail-on", "behaviour")
    if options.fail_on not in FAIL_ON:
        raise UsageError(f"fail-on must be one of {', '.join(FAIL_ON)}, got {options.fail_on!r}")
    check_files(options)
    rank = Rank.of_environment()
    options.record, options.heartbeat = rank.own(options.record), rank.own(options.heartbeat)
    gathering = Gathering(options.ranks, rank) if rank.of > 1 else None
    with termination_deferred():
        shadowed = _shadowed(options, settings)
        ours = PARITY
        if gathering is not None:
            gathering.publish(shadowed.result)
        if rank.number == 0:
            result = shadowed.result if gathering is None else gathering.collect(patience_s=PATIENCE_S)
            ours = conclude(result, options, open_console(), files=[Path(options.target)])
    if shadowed.status:
        say(f"{options.target} itself ended with status {shadowed.status}")
    return shadowed.status or ours


def _shadowed(options: argparse.Namespace, settings: Settings) -> Shadowed:
    """Run a script or a module, and attach to each world model that it builds.

    Raises:
        UsageError: the script, module or candidate does not exist, or an option has a value that is not allowed.
        UnusableCacheError: the candidate cannot be built.
        TraceError: the recording cannot be written.
    """
    chosen = _chosen(options, settings)
    attachment = Attachment(chosen)
    build_cache(
        str(chosen.candidate), CacheSpec(env_num=1, init_pool_size=1, num_simulations=1)
    )  # raises now if it cannot
    process = os.getpid()
    guests = _Guests(attachment, options.record)
    hook = WorldModelHook(guests.meet)
    view = LiveView(attachment, _sinks(options))
    hook.install()
    view.start()
    outside = signal.signal(signal.SIGTERM, _end)
    try:
        status = run_as_main(options.target, options.arguments, module=options.module)
    finally:
        signal.signal(signal.SIGTERM, outside)
        hook.remove()
        guests.leave()
        view.stop()
    if os.getpid() != process:  # a forked child of the script, which returns here too; its parent writes the report
        raise SystemExit(status)
    return Shadowed(
        result=attachment.result(workload=options.target, interrupted=status in (INTERRUPTED, TERMINATED)),
        status=status,
    )


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Ends the script, as the handler of SIGTERM."""
    raise SystemExit(TERMINATED)


def _sinks(options: argparse.Namespace) -> list[Sink]:
    """Where to show the progress.

    Raises:
        UsageError: the file cannot be written.
    """
    sinks: list[Sink] = [] if options.heartbeat is None else [Heartbeat(options.heartbeat)]
    if options.live:
        sinks.append(Screen(open_console(stderr=True)))
    return sinks


def _chosen(options: argparse.Namespace, settings: Settings) -> Options:
    """The options of the command line; for those not given, the settings; for the rest, the defaults."""
    said = {name.replace("-", "_"): value for name, value in settings.shadow.items() if name in _CHOICES}
    for name in (choice.replace("-", "_") for choice in _CHOICES):
        if (value := getattr(options, name)) is not None:
            said[name] = value
    if "max_share" in said:
        said["limits"] = Limits(share=_as_share(said.pop("max_share")), patience_s=options.patience)
    else:
        said["limits"] = Limits(patience_s=options.patience)
    return Options(known=settings.known, **{"candidate": DEFAULT_CANDIDATE, **said})


def _share(text: str) -> str:
    try:
        Limits(share=_as_share(text))
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _as_share(share: float | str) -> float | None:
    if share == "none":
        return None
    try:
        return float(share)
    except ValueError:
        raise UsageError(f"{share!r} is not a share of wall time such as 0.05, or none") from None


class _Guests:
    """Attaches the shadow and the recorder to every world model."""

    def __init__(self, attachment: Attachment, record: Path | None) -> None:
        self._attachment = attachment
        reference, _ = attachment.options.names
        self._writer = None if record is None else TraceWriter(record, tensors="fingerprint", served_by=reference)
        self._recordings: list[Recording] = []
        self._models = 0

    def meet(self, world_model: Any) -> None:
        """Attach to a world model. If that fails, warn and leave the training alone."""
        self._models += 1
        name = f"{type(world_model).__name__} {self._models}"
        try:
            if self._writer is not None:
                self._recordings.append(Recording({name: world_model}, self._writer))
            self._attachment.add(name, world_model)
        except BaseException as error:  # noqa: BLE001  the training goes on, with or without its shadow
            reason = reraise_if_interrupt(error)
            warn(f"{name} is not shadowed: {type(reason).__name__}: {reason}")

    def leave(self) -> None:
        """Detach from all world models."""
        self._attachment.detach()
        for recording in self._recordings:
            recording.detach()
        if self._writer is not None:
            self._writer.close()


COMMAND = Command(
    name="shadow",
    summary="run a training script, and compare a candidate with its caches on the way",
    details="The script needs no change. The training goes on with the answers of its own caches,\n"
    "and the candidate gets the same operations.",
    example="kvparity shadow --candidate my_package.my_module:MyManager train.py",
    add_options=_add_options,
    run=_shadow,
)
