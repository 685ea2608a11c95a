"""A bench as a JSON file, and back."""

from __future__ import annotations

import dataclasses
import json
import types
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from kvparity.bench.result import SCHEMA, Bench
from kvparity.errors import UsageError
from kvparity.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 64 * 1024 * 1024


def write_bench(bench: Bench, path: Path) -> None:
    """Write a bench completely or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    write_text(path, json.dumps(dataclasses.asdict(bench), indent=2) + "\n")


def read_bench(path: Path) -> Bench:
    """Read what `write_bench` wrote.

    Raises:
        UsageError: the file cannot be read, is not a bench, or was written by a newer kvparity.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is not a bench: it has {path.stat().st_size:,} bytes, which is too many")
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a bench: {error}") from None
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if type(schema) is not int or "settings" not in fields:
        raise UsageError(f"{path} is not a bench: expected what `kvparity bench --json FILE` writes")
    if schema > SCHEMA:
        raise UsageError(f"{path} has bench schema {schema}; this kvparity reads schemas up to {SCHEMA}: upgrade it")
    try:
        bench: Bench = _decoded(Bench, fields, "bench")
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a bench: {error}") from None
    return bench


def _decoded(kind: Any, found: Any, where: str) -> Any:
    """A value of the type `kind`, from what JSON holds for it.

    Raises:
        TypeError: it is of another type.
        ValueError: `kind` refuses the value.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(found, dict):
        hints = get_type_hints(kind)
        if set(found) != set(hints):
            raise TypeError(f"{where} has the fields {', '.join(map(str, found))}; expected {', '.join(hints)}")
        return kind(**{name: _decoded(hints[name], part, f"{where}.{name}") for name, part in found.items()})
    if origin is dict and isinstance(found, dict):
        return {name: _decoded(parts[1], part, f"{where}.{name}") for name, part in found.items()}
    if origin is tuple and isinstance(found, list):
        return tuple(_decoded(parts[0], part, f"{where}[{number}]") for number, part in enumerate(found))
    if origin in (Union, types.UnionType):
        return None if found is None else _decoded(parts[0], found, where)
    if kind is float and type(found) is int:
        return float(found)
    if type(found) is not kind:
        raise TypeError(f"{where} is {found!r}, expected {getattr(kind, '__name__', kind)}")
    return found
