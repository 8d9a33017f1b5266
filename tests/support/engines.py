"""What the tests of task 3.4 share: which engines there are, and a store of each."""

from pathlib import Path

import pytest

import kvs

BOTH = ["log", "sqlite"]
KEEPERS = [*BOTH, *(name for name in kvs.engine_names() if name not in {*BOTH, "memory"})]
"""Every engine that keeps a directory; the two that this stage asks for, whether they are there or not."""

every_engine = pytest.mark.parametrize("engine", KEEPERS)


def filled(path: Path, engine: str) -> Path:
    """Make a store that has a pair, closed."""
    with kvs.open(path, engine) as store:
        store.set(b"made by", engine.encode())
    return path
