"""Operations as a program that a person can paste, run and read. It uses the public API of kvparity only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from kvparity.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, Write
from kvparity.text import one_line
from kvparity.values.entry import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from kvparity.search.case import Case

_NAMED = {RECUR: "RECUR", WM: "WM", ALL: "ALL", ALL_INIT: "ALL_INIT"}
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_PLAIN = """\
def plain(number):  # a small value, different for each number
    value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
    value._row.fill_(number)
    return value
"""


def program(case: Case, *, names: tuple[str, str], trace: Path | None = None, plain: bool = False) -> str:
    """A script that does the operations to both caches and prints the divergences.

    Args:
        case: the operations.
        names: the reference and the candidate.
        trace: a file with the same operations, from which the script reads the values; None writes the values out.
        plain: whether the values are those of `Case.with_plain_values`.
    """
    spec = case.spec
    if plain:
        prelude, expressions = _PLAIN, {at: f"plain({_number(value):g})" for at, value in _values(case)}
    elif trace is not None:
        prelude = f"trace = Trace({str(trace)!r})"
        expressions = {at: f"trace[{at}].operation.value" for at, _ in _values(case)}
    else:
        prelude, expressions = "import torch", {at: _written_out(value) for at, value in _values(case)}
    body = "\n".join(
        f"driver.apply({_expression(operation, expressions.get(at, ''))})"
        for at, operation in enumerate(case.operations)
    )
    return f"""\
from kvparity import *

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
    """A pytest file that replays `trace` and passes when the divergence is fixed; `title` becomes a comment."""
    return f'''\
"""Operations on which two caches once differed."""
# {one_line(title)}

from pathlib import Path

from kvparity import Comparison, Trace


def {test_name(trace)}():
    """The two caches agree on operations on which they once differed."""
    with Trace(Path(__file__).with_name({trace.name!r})) as trace:
        result = Comparison({names[0]!r}, {names[1]!r}).trace(trace, workload={trace.stem!r})
    for divergence in result.kept:
        raise AssertionError(f"{{divergence.kind}}, wrong: {{divergence.wrong}}\\n{{divergence.explanation}}")
'''


def test_name(trace: Path) -> str:
    """The name of the test that `test_file` writes for `trace`; its file has the same name."""
    return "test_" + re.sub(r"\W", "_", trace.stem)


def _values(case: Case) -> Iterator[tuple[int, Any]]:
    return ((at, operation.value) for at, operation in enumerate(case.operations) if isinstance(operation, Set))


def _number(value: Any) -> float:
    return float(read(value)[0][0].flatten()[0])


def _written_out(value: Any) -> str:
    tensors, sizes = read(value)
    return f"KeysValues([{', '.join(_tensor(each) for each in tensors)}], {sizes})"


def _tensor(tensor: torch.Tensor) -> str:
    """The elements as integers of the same width, so that no bit of any dtype is lost."""
    bits = tensor.detach().cpu().contiguous().view(_INTEGERS[tensor.element_size()])
    return f"torch.tensor({bits.tolist()}, dtype={bits.dtype}).view({tensor.dtype})"


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
