"""What white-box tests need of the sqlite engine: the one place that knows its private names."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvs import SqliteEngine
from kvs.engines.database import Database
from kvs.engines.scan import Scan
from kvs.log.options import SyncMode

MODES: list[SyncMode] = ["always", "interval", "none"]
LINUX_ONLY = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


def pairs(store: SqliteEngine) -> dict[bytes, bytes]:
    """Return everything in a store by one walk."""
    return dict(store.scan())


def database(store: SqliteEngine) -> Database:
    """Return the open store's database."""
    assert store._database is not None
    return store._database


def tick(store: SqliteEngine) -> None:
    """Do what the ticker does in mode "interval"."""
    store._sync_now_and_then()


def scans(store: SqliteEngine) -> list[Scan]:
    """Return the scans under way."""
    return list(store._scans)


@contextlib.contextmanager
def failing_fsync(path: Path) -> Iterator[None]:
    """Let every fsync of an open file fail: put /dev/null, which takes writes and no fsync, under its descriptors."""
    null = os.open("/dev/null", os.O_RDWR)
    links = [(int(name), f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    mine = [fd for fd, link in links if os.path.lexists(link) and os.readlink(link) == str(path)]
    assert mine, f"nobody has {path} open"
    saved = [(fd, os.dup(fd)) for fd in mine]
    try:
        for fd in mine:
            os.dup2(null, fd)
        yield
    finally:
        for fd, copy in saved:
            os.dup2(copy, fd)
            os.close(copy)
        os.close(null)
