"""Handles on a sqlite store that end in another way than by close(): in a fork, or forgotten."""

import gc
import os
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import inside_sqlite
import pytest
from inside_sqlite import MODES
from support.child import start_program
from support.target import Target

from kvs import SqliteEngine, StorageError, StoreLockedError
from kvs.log.options import SyncMode

DEADLINE_S = 15

FORKED = """
import os, sys
from kvs import SqliteEngine
store = SqliteEngine.open(sys.argv[1], sync="none")
store.set(b"before", b"1")
child = os.fork()
if child == 0:
    sys.exit(0)  # a whole goodbye, which takes every object with it
os.waitpid(child, 0)
store.set(b"after", b"2")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.timeout(30)
def test_child_that_ends_takes_nothing_with_it(target: Target, tmp_path: Path) -> None:
    """A forked child that ends as programs do leaves the parent's WAL alone: the parent's later writes survive it."""
    with start_program(target, FORKED, tmp_path) as parent:
        assert parent.read_line() == b"written"
        parent.kill()
    with SqliteEngine.open(tmp_path) as store:
        assert inside_sqlite.pairs(store) == {b"before": b"1", b"after": b"2"}


@pytest.mark.timeout(30)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # newer Pythons warn of just what is tried here
@pytest.mark.parametrize("sync", MODES)
def test_child_does_nothing_and_says_why(tmp_path: Path, sync: SyncMode) -> None:
    """In a forked child every call is refused with the reason, close() is quiet, and nothing waits for a lock."""
    store = SqliteEngine.open(tmp_path, sync=sync)
    store[b"k"] = b"v"
    steps = store.scan()

    def attempt() -> list[str]:
        said = []
        calls: list[Callable[[], object]] = [
            lambda: store.get(b"k"), lambda: b"k" in store, lambda: len(store), lambda: next(steps), store.stats,
            store.sync, lambda: store.set(b"k", b"child"), lambda: store.write([]), store.compact, store.clear,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StorageError, match="this process is a fork of the one that opened it") as caught:
                call()
            said.append(type(caught.value).__name__)
        with pytest.raises(StoreLockedError):
            SqliteEngine.open(tmp_path)
        store.close()
        return said

    with store._lock:
        answer = in_child(attempt)
    assert answer == repr(["StorageError"] * 6 + ["WritesRefusedError"] * 4)
    store[b"l"] = b"w"
    store.close()
    with SqliteEngine.open(tmp_path) as store:
        assert inside_sqlite.pairs(store) == {b"k": b"v", b"l": b"w"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("sync", MODES)
def test_forgotten_store_lets_go(tmp_path: Path, sync: SyncMode) -> None:
    """A store that is dropped without close() gives up its directory at once, and its thread; nothing is lost."""
    gc.disable()
    try:
        store = SqliteEngine.open(tmp_path, sync=sync, sync_interval_s=0.01)
        store[b"k"] = b"v"
        tickers = [thread for thread in threading.enumerate() if thread.name == "kvs-ticker"]
        assert len(tickers) == (sync == "interval")
        del store
        for ticker in tickers:
            ticker.join(10)
            assert not ticker.is_alive()
        with SqliteEngine.open(tmp_path) as store:
            assert inside_sqlite.pairs(store) == {b"k": b"v"}
    finally:
        gc.enable()


def test_failed_open_lets_go_of_the_directory(tmp_path: Path) -> None:
    """A store that could not be made or opened is locked by nobody afterwards."""
    (tmp_path / "ENGINE.tmp").mkdir()
    for flag in "cn":
        with pytest.raises(StorageError):
            SqliteEngine.open(tmp_path, flag=flag)
    (tmp_path / "ENGINE.tmp").rmdir()
    with SqliteEngine.open(tmp_path) as store:
        assert repr(store) == f"<SqliteEngine {str(tmp_path)!r}, open>"
    assert repr(store) == f"<SqliteEngine {str(tmp_path)!r}, closed>"


def in_child(work: Callable[[], object]) -> str:
    """Fork, do the work in the child, and return what it came to."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "nothing"
        try:
            answer = repr(work())
        except BaseException as error:  # noqa: BLE001  # the parent tells
            answer = repr(error)
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    try:
        ready, _, _ = select.select([read_end], [], [], DEADLINE_S)
        assert ready, "the child hangs"
        return os.read(read_end, 1 << 16).decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)
