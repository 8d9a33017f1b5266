"""What tests with the field's own clients share: programs found and run, and servers kept from one test to the next."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from support.served import Served
from support.target import Target
from support.wire import Wire

DEADLINE_S: Final = 20.0
"""How long a client may take for anything it is asked to do."""
NODE_CLIENTS: Final = Path(__file__).parents[1] / "reference" / "node"
OLDEST_NODE: Final = 18


def program(name: str) -> str:
    """Return where a program lies; a test without it is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def node() -> str:
    """Return where Node lies; without it, or without the clients for it, a test is skipped."""
    found = program("node")
    version = subprocess.run(
        [found, "--version"], capture_output=True, text=True, check=True, timeout=DEADLINE_S
    ).stdout
    if int(version.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node is {version.strip()}, and its clients need {OLDEST_NODE} or newer")
    if not (NODE_CLIENTS / "node_modules" / ".package-lock.json").is_file():
        pytest.skip("node's clients are not installed; `make node-clients` installs them")
    return found


@cache
def _version(node: str) -> str:
    return run(node, "--version").stdout.decode().strip()


def run(
    *words: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a client to its end; nothing of the user's own settings steers it."""
    steering = ("REDISCLI_", "KVS_", "NODE_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(steering)} | {
        "HOME": "/nonexistent"
    }
    command = [str(word) for word in words]
    return subprocess.run(
        command, input=stdin, capture_output=True, check=False, timeout=DEADLINE_S, env=clean | dict(env or {})
    )


class Kept:
    """Servers that are started when they are first asked for, one of each design, and kept.

    Args:
        target: what is under test.
        home: where the stores go.
    """

    def __init__(self, target: Target, home: Path) -> None:
        self._target = target
        self._home = home
        self._served: dict[str, Served] = {}

    def empty(self, design: str) -> Served:
        """Return the server of this design, with an empty store; a new one if the last was not well."""
        served = self._served.get(design)
        if served is not None and served.process.poll() is not None:
            served.end()
            served = None
        if served is None:
            store = self._home / f"{design}-{len(list(self._home.iterdir()))}" / "store"
            store.parent.mkdir()
            served = Served(self._target.command, self._target.environment(), store, ["--design", design])
            self._served[design] = served
        with Wire(served.connect()) as wire:
            assert wire.call("FLUSHALL") == b"OK"
        return served

    def end(self) -> None:
        """End all of them, and see that they end in order."""
        codes = {design: served.stop() for design, served in self._served.items() if served.process.poll() is None}
        for served in self._served.values():
            served.end()
        assert not any(codes.values()), f"servers ended with {codes}"
