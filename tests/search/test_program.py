"""What is printed is a script that runs as it stands and shows what it is printed for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from kvparity import RECUR, CacheSpec, Checkout, KeysValues, Set, TraceWriter, fingerprint
from kvparity.search.case import Case
from kvparity.search.program import program

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("legacy-released", "refactored-fifo")
SPEC = CacheSpec(env_num=1, init_pool_size=1, num_simulations=1)


def odd(number: int, dtype: torch.dtype) -> KeysValues:
    """An entry whose numbers decimals would not give back."""
    bits = torch.tensor([0x7FF00001, 1, -(1 << 31), 0x3EAAAAAB + number], dtype=torch.int32)
    return KeysValues([bits.view(dtype).view(1, 1, 2, -1), bits.flip(0).view(dtype).view(1, 1, 2, -1)], [1, 2])


def wrong_hit(first: KeysValues, second: KeysValues) -> Case:
    """In the original a key into a ring of one slot, another one, and the first looked up."""
    operations = (Set(pool=RECUR, key=1, value=first), Set(pool=RECUR, key=2, value=second), Checkout(env=0, key=1))
    return Case(spec=SPEC, operations=operations)


def run(source: str, folder: Path) -> str:
    """What the script prints."""
    script = folder / "script.py"
    script.write_text(source)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


def test_with_plain_values(tmp_path: Path) -> None:
    """The values are numbered, and the program says how they are made."""
    case = wrong_hit(odd(0, torch.float32), odd(1, torch.float32)).with_plain_values()
    source = program(case, names=NAMES, plain=True)
    assert "driver.apply(Set(pool=RECUR, key=0x2, value=plain(2)))" in source
    assert "kind='stale_hit'" in run(source, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.float64], ids=str)
def test_with_values_written_out(dtype: torch.dtype, tmp_path: Path) -> None:
    """Every bit is there: the fingerprint of what came back is that of what was set."""
    case = wrong_hit(odd(0, torch.float32), odd(1, dtype))
    source = program(case, names=("refactored-fifo", "refactored-fifo"))
    source += "print(fingerprint(driver.apply(Get(pool=RECUR, key=2))).hex())"
    assert run(source, tmp_path).strip() == fingerprint(odd(1, dtype)).hex()


def test_with_values_of_a_trace(tmp_path: Path) -> None:
    """They are read from the file that the program names."""
    case, path = wrong_hit(odd(0, torch.float32), odd(1, torch.float32)), tmp_path / "t.kvtrace"
    with TraceWriter(path, served_by=NAMES[0]) as writer:
        stream = writer.stream("minimal", SPEC)
        for operation in case.operations:
            writer.record(stream, operation)
    assert "kind='stale_hit'" in run(program(case, names=NAMES, trace=path), tmp_path)
