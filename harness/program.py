"""Operations as a program: what a person can paste, run and read, against kvparity's public API alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, Write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.caches import CacheSpec

_NAMED = {RECUR: "RECUR", WM: "WM", ALL: "ALL", ALL_INIT: "ALL_INIT"}


def lines(operations: Sequence[Operation], values: dict[int, str]) -> list[str]:
    """One line of Python for each operation, done by a `Driver` called `driver`.

    Args:
        operations: what to do.
        values: the expression that makes the value of the operation at that place.
    """
    return [f"driver.apply({_expression(operation, values.get(at, ''))})" for at, operation in enumerate(operations)]


def program(
    operations: Sequence[Operation],
    *,
    spec: CacheSpec,
    names: tuple[str, str],
    values: dict[int, str],
    prelude: str,
) -> str:
    """A script that does `operations` to both caches and prints what is found.

    Args:
        operations: what to do.
        spec: the sizes of both caches.
        names: of the reference and of the candidate.
        values: see `lines`.
        prelude: the code that `values` needs.
    """
    body = "\n".join(lines(operations, values))
    return f"""\
from harness import *

{prelude}

spec = {spec!r}
shadow = ShadowCache(
    reference=build_cache({names[0]!r}, spec), candidate=build_cache({names[1]!r}, spec), spec=spec,
    names=({names[0]!r}, {names[1]!r}),
)
driver = Driver(shadow)
{body}
shadow.check_stats()
for divergence in shadow.log.kept:
    print(divergence)
"""


def test_file(trace: Path, *, names: tuple[str, str], title: str) -> str:
    """A pytest file that replays `trace` and passes once the divergence is mended; `title` becomes a comment."""
    return f'''\
"""What once told two caches apart."""
# {" ".join(title.split())}

from pathlib import Path

from harness import Comparison, Trace


def {test_name(trace)}():
    """The two caches agree on what once told them apart."""
    with Trace(Path(__file__).with_name({trace.name!r})) as trace:
        result = Comparison({names[0]!r}, {names[1]!r}).trace(trace, workload={trace.stem!r})
    for divergence in result.kept:
        raise AssertionError(f"{{divergence.kind}}, wrong: {{divergence.wrong}}\\n{{divergence.explanation}}")
'''


def test_name(trace: Path) -> str:
    """The name of the test that `test_file` writes for `trace`, and of its file."""
    return "test_" + re.sub(r"\W", "_", trace.stem)


def _expression(operation: Operation, value: str) -> str:
    match operation:
        case Set():
            priority = "" if operation.priority is None else f", priority={operation.priority!r}"
            return f"Set(pool={_pool(operation.pool)}, key={operation.key:#x}, value={value}{priority})"
        case Get():
            return f"Get(pool={_pool(operation.pool)}, key={operation.key:#x})"
        case Checkout():
            return f"Checkout(env={operation.env}, key={operation.key:#x})"
        case Write():
            return f"Write(env={operation.env}, fill={operation.fill!r})"
        case Clear():
            return f"Clear(pool={_pool(operation.pool)})"


def _pool(pool: PoolId) -> str:
    return _NAMED.get(pool) or f"init({pool.env})"
