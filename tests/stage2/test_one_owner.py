"""Task 2.9: a directory has one owner, and a dead one needs no cleaning up."""

import os
from pathlib import Path

import pytest
from support.child import run_program, start_program
from support.target import Target

import kvs
from kvs import LogEngine

pytestmark = pytest.mark.task("2.9")

OWNER = """
import sys
from kvs import LogEngine
store = LogEngine.open(sys.argv[1])
store.set(b"owner", b"child")
print("open", flush=True)
sys.stdin.read()
"""
"""Opens a store and holds it until it is killed, or its stdin ends."""

INTRUDER = """
import sys
import kvs
try:
    kvs.open(sys.argv[1])
except kvs.StoreLockedError as error:
    print("refused", error)
else:
    print("opened")
"""


def test_second_open_is_refused(tmp_path: Path) -> None:
    """A second open in the same process raises StoreLockedError, and does not disturb the first."""
    with LogEngine.open(tmp_path) as store:
        store.set(b"key", b"value")
        with pytest.raises(kvs.StoreLockedError):
            LogEngine.open(tmp_path)
        with pytest.raises(kvs.StoreLockedError):  # a refused open must not have let go of the first one's lock
            LogEngine.open(tmp_path)
        store.set(b"key", b"other")
        assert store.get(b"key") == b"other"


def test_second_process_is_refused(target: Target, tmp_path: Path) -> None:
    """Another process that opens the same directory gets StoreLockedError, which names the directory."""
    with LogEngine.open(tmp_path) as store:
        store.set(b"key", b"value")
        [answer] = run_program(target, INTRUDER, tmp_path)
    assert answer.startswith("refused")
    assert str(tmp_path) in answer


def test_error_names_the_owner(target: Target, tmp_path: Path) -> None:
    """The refusal names the owner's process id."""
    with start_program(target, OWNER, tmp_path) as owner:
        assert owner.read_line() == b"open"
        with pytest.raises(kvs.StoreLockedError, match=str(owner.pid)) as caught:
            LogEngine.open(tmp_path)
        assert caught.value.pid == owner.pid


def test_lock_ends_with_close(target: Target, tmp_path: Path) -> None:
    """After close() anybody may open the directory: this process, and another."""
    LogEngine.open(tmp_path).close()
    LogEngine.open(tmp_path).close()
    assert run_program(target, INTRUDER, tmp_path) == ["opened"]


def test_lock_ends_with_its_owner(target: Target, tmp_path: Path) -> None:
    """When the owner is killed, the next open succeeds at once, with nothing to clean, and finds what was written."""
    with start_program(target, OWNER, tmp_path) as owner:
        assert owner.read_line() == b"open"
        owner.kill()
    with LogEngine.open(tmp_path) as store:
        assert store.get(b"owner") == b"child"


def test_stale_lock_does_not_block_when_its_number_is_taken(target: Target, tmp_path: Path) -> None:
    """Process ids are used again: a dead owner's lock does not block because some process now has its number."""
    with start_program(target, OWNER, tmp_path) as owner:
        assert owner.read_line() == b"open"
        owner.kill()
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        if path.suffix != ".data" and str(owner.pid).encode() in data:
            path.write_bytes(data.replace(str(owner.pid).encode(), str(os.getpid()).encode()))
    with LogEngine.open(tmp_path) as store:
        assert store.get(b"owner") == b"child"


def test_refused_open_changes_nothing(target: Target, tmp_path: Path) -> None:
    """Whoever is refused leaves the store as it was: the owner's later writes are all there in the end."""
    with LogEngine.open(tmp_path) as store:
        for number in range(5):
            store.set(b"key%d" % number, b"value")
            with pytest.raises(kvs.StoreLockedError):
                LogEngine.open(tmp_path)
        assert run_program(target, INTRUDER, tmp_path)[0].startswith("refused")
        store.set(b"last", b"one")
    with LogEngine.open(tmp_path) as store:
        assert len(store) == 6


def test_two_stores_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Stores in two directories may be open at once."""
    with LogEngine.open(tmp_path / "one") as one, LogEngine.open(tmp_path / "two") as two:
        one.set(b"key", b"1")
        two.set(b"key", b"2")
        assert (one.get(b"key"), two.get(b"key")) == (b"1", b"2")
