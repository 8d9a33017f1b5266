"""What a run tests: the package `kvs` in one directory, or a command in any language.

The worst failure that a course's suites can have is a green run that tested somebody else's code. So the package is
imported from the named directory, and where every one of its modules came from is looked up afterwards.
"""

import importlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
"""The repository: where the reference lives."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is under test.

    Args:
        directory: the directory in which the package `kvs` lies, symbolic links resolved.
        version: what the package says its version is.
        command: the words that start the command line under test.
        is_package: False when only the command is under test, and no package.
        bytecode: a directory for the children's compiled modules, or None to keep them where Python does.
    """

    directory: Path
    version: str
    command: tuple[str, ...]
    is_package: bool
    bytecode: str | None = None

    @property
    def is_reference(self) -> bool:
        """Tell whether this is the repository's own package."""
        return self.is_package and self.directory == ROOT

    def describe(self) -> str:
        """Say in one line what is under test."""
        if not self.is_package:
            return f"under test: the command {shlex.join(self.command)}"
        whose = " (the reference)" if self.is_reference else ""
        return f"under test: {self.directory / 'kvs'}, version {self.version}{whose}"

    def environment(self) -> dict[str, str]:
        """Return the environment for child processes: they import the same package, and nothing steers them."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("KVS_")}
        paths = [str(self.directory), *filter(None, [mine.get("PYTHONPATH")])]
        mine |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        if self.bytecode is not None:
            del mine["PYTHONDONTWRITEBYTECODE"]
            mine["PYTHONPYCACHEPREFIX"] = self.bytecode
        return mine


def package_in(directory: Path) -> Target:
    """Import `kvs` from this directory, ahead of any that is installed.

    Raises:
        pytest.UsageError: there is no such package, it cannot be imported, or another one was imported.
    """
    home = directory.resolve()
    if not (home / "kvs" / "__init__.py").is_file():
        raise pytest.UsageError(f"there is no package kvs in {directory}: {home / 'kvs' / '__init__.py'} is missing")
    for name in list(_package_modules()):
        del sys.modules[name]
    sys.path.insert(0, str(home))
    importlib.invalidate_caches()
    try:
        package = importlib.import_module("kvs")
    except Exception as error:
        raise pytest.UsageError(f"the package in {home} cannot be imported: {type(error).__name__}: {error}") from error
    check_identity(home)
    return Target(home, str(getattr(package, "__version__", "unknown")), (sys.executable, "-m", "kvs"), is_package=True)


def command_called(line: str, start: Path) -> Target:
    """Return the command that a line of shell words names, `./prog` being looked for in `start`.

    Raises:
        pytest.UsageError: there is no such program.
    """
    words = shlex.split(line)
    program = shutil.which(str(start / words[0]) if os.sep in words[0] else words[0]) if words else None
    if program is None:
        raise pytest.UsageError(f"--cmd {line!r} names no program that can be run")
    return Target(ROOT, "unknown", (program, *words[1:]), is_package=False)


def check_identity(home: Path) -> None:
    """Make sure that every module of `kvs` imported so far lies in `home`, links resolved.

    Raises:
        pytest.UsageError: one lies elsewhere, so that somebody else's code would be tested.
    """
    for name, module in _package_modules().items():
        for place in _places(module):
            if not Path(place).resolve().is_relative_to(home / "kvs"):
                raise pytest.UsageError(
                    f"the package under test should lie in {home / 'kvs'}, "
                    f"but {name} was imported from {Path(place).resolve()}; nothing was tested"
                )


def _package_modules() -> dict[str, ModuleType]:
    """Return the modules of `kvs` that are imported."""
    return {name: module for name, module in sys.modules.items() if name == "kvs" or name.startswith("kvs.")}


def _places(module: ModuleType) -> Iterator[str]:
    """Return where a module's code comes from: its file, and for a package the folders of its modules."""
    if module.__file__ is not None:
        yield module.__file__
    yield from getattr(module, "__path__", ())
