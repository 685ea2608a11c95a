"""Names such as `package.module:attribute` and `path/to/file.py:attribute`, and what they lead to.

Modules are searched in the working directory first, as `python -m` does, so that a user's own module is never hidden by
an installed one of the same name.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from types import ModuleType

# Import packages of before, and today's. Results, traces and certificates may name caches by the former ones.
FORMER = {
    "legacy": "kvparity_legacy",
    "refactored": "kvparity_refactored",
    "scenarios": "kvparity_scenarios",
}


def attribute(name: str) -> Any:
    """What `package.module:attribute` or `path/to/file.py:attribute` names.

    Raises:
        Exception: whatever importing the module raises, SystemExit included.
    """
    _search_here_first()
    where, _, path = name.rpartition(":")
    found: Any = _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(_module_today(where))
    for part in path.split("."):
        found = getattr(found, part)
    return found


def own_name_today(name: str) -> str | None:
    """Today's name of what kvparity once called `name`, if `name` now leads to a package of the user's; else None."""
    top = _top(name)
    return _today(name) if top in FORMER and _is_users(top) else None


def is_own(name: str) -> bool:
    """Whether `name` leads to a class or function of kvparity's own packages of caches and scenarios.

    Nothing but these packages is imported to find out.
    """
    _search_here_first()
    where = name.rpartition(":")[0]
    if where.endswith(".py") or not _is_in_own_package(_module_today(where)):
        return False
    try:
        return _is_in_own_package(str(getattr(attribute(name), "__module__", "")))
    except Exception:  # noqa: BLE001  what cannot be found is not ours
        return False


def _search_here_first() -> None:
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)


def _is_in_own_package(module: str) -> bool:
    return module.partition(".")[0] in FORMER.values()


def _module_today(name: str) -> str:
    """`name`, or today's module if `name` is a former one and the user has no package of that name."""
    top = _top(name)
    return name if top not in FORMER or _is_users(top) else _today(name)


def _top(name: str) -> str:
    return re.split("[.:]", name, maxsplit=1)[0]


def _today(name: str) -> str:
    top = _top(name)
    return FORMER[top] + name[len(top) :]


def _is_users(package: str) -> bool:
    """Whether the user has a top-level module or package of this name.

    From the root of a checkout of kvparity, its folders are found as namespace packages. They hold nothing but today's
    packages (`refactored/` holds `kvparity_refactored/`), and are not the user's.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # it is imported already, and has no spec
        return True
    if spec is None:
        return False
    folders = spec.submodule_search_locations
    if spec.origin is not None or folders is None:  # it is no namespace package
        return True
    return any({each.name for each in pkgutil.iter_modules([folder])} != {FORMER[package]} for folder in folders)


def _import_file(path: Path) -> ModuleType:
    """The module in a file: as part of its package if it has one, else on its own.

    On its own, it gets a name that no other file has. So `old/manager.py` and `new/manager.py` are two modules.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: another file was imported under the name that this one has in its package.
    """
    path = path.resolve()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if (path.parent / "__init__.py").is_file():
        return _import_from_package(path)
    name = f"{path.stem}_{xxhash.xxh3_64_hexdigest(str(path).encode(errors='surrogatepass'))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_from_package(path: Path) -> ModuleType:
    names, folder = [] if path.name == "__init__.py" else [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    module = importlib.import_module(".".join(names))
    imported = Path(str(module.__file__)).resolve()
    if imported != path:
        raise ImportError(f"Python found another file under the name {module.__name__}: {imported}")
    return module
