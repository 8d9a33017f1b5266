"""Forks: a child may read what its parent had, writes nothing, and owns nothing."""

import os
import select
import traceback
from collections.abc import Callable
from pathlib import Path

import inside
import pytest
from support.child import start_program
from support.target import Target

from kvs import LogEngine, StoreLockedError, WritesRefusedError

pytestmark = pytest.mark.timeout(30)
DEADLINE_S = 15

PARENT = """
import os, sys
from kvs import LogEngine
store = LogEngine.open(sys.argv[1], sync="none")
store.set(b"k", b"v")
child = os.fork()
if child == 0:
    print("child", os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
os._exit(0)
"""


def in_child(work: Callable[[], object]) -> str:
    """Fork, do the work in the child, and return what it came to."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = repr(work())
        except BaseException:  # noqa: BLE001  # the parent tells
            answer = traceback.format_exc()
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    ready, _, _ = select.select([read_end], [], [], DEADLINE_S)
    assert ready, "the child hangs"
    answer = os.read(read_end, 1 << 16).decode()
    os.close(read_end)
    os.waitpid(child, 0)
    return answer


@pytest.fixture
def store(tmp_path: Path) -> LogEngine:
    """Return an open store without a thread of its own, so that forks are as forks in a plain program."""
    store = LogEngine.open(tmp_path, sync="none")
    store.update({b"a": b"1", b"b": b"2"})
    return store


def test_child_reads(store: LogEngine) -> None:
    """A forked child reads what was there at the fork."""
    assert in_child(lambda: (dict(store), list(store.scan()), len(store), store.stats().keys)) == repr(
        ({b"a": b"1", b"b": b"2"}, [(b"a", b"1"), (b"b", b"2")], 2, 2)
    )
    store.close()


def test_child_writes_nothing(store: LogEngine) -> None:
    """Every write in a forked child is refused, and says why; its close() seals nothing; the parent goes on."""

    def attempt() -> list[str]:
        said = []
        calls: list[Callable[[], object]] = [
            lambda: store.set(b"a", b"child"), lambda: store.remove(b"a"), lambda: store.write([(b"c", b"3")]),
            store.compact,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(WritesRefusedError) as caught:
                call()
            said.append(str(caught.value).rpartition(": ")[2])
        store.close()
        return said

    size = inside.segments(store)[-1].end
    assert in_child(attempt) == repr(["this process is a fork of its owner; open the store anew"] * 4)
    assert inside.segments(store)[-1].end == size
    store[b"c"] = b"parent"
    path = store._disk.path
    store.close()
    with LogEngine.open(path) as again:
        assert again.stats().recovery.was_clean
        assert dict(again) == {b"a": b"1", b"b": b"2", b"c": b"parent"}


def test_child_of_a_held_lock_does_not_hang(store: LogEngine) -> None:
    """A fork while a thread of the parent holds the store's lock leaves the child able to read."""
    with inside.lock(store):
        answer = in_child(lambda: store.get(b"a"))
    assert answer == repr(b"1")
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # newer Pythons warn of just what is tried here
def test_child_of_an_owner_with_a_thread_closes(tmp_path: Path) -> None:
    """The interval's thread is not in the child: close() there waits for nobody."""
    store = LogEngine.open(tmp_path, sync="interval")
    store[b"a"] = b"1"

    def close() -> object:
        store.close()
        return "closed"

    assert in_child(close) == repr("closed")
    store.close()


def test_child_may_not_open_what_its_parent_owns(store: LogEngine, tmp_path: Path) -> None:
    """The parent's ownership holds against its children, too."""

    def attempt() -> object:
        with pytest.raises(StoreLockedError):
            LogEngine.open(tmp_path)
        return "refused"

    assert in_child(attempt) == repr("refused")
    store.close()


def test_child_does_not_keep_the_lock_of_a_dead_parent(target: Target, tmp_path: Path) -> None:
    """A child that outlives its parent does not keep the directory: the next owner opens it at once."""
    with start_program(target, PARENT, tmp_path) as parent:
        line = parent.read_line()
        assert line is not None
        assert line.startswith(b"child ")
        assert parent.wait() == 0
        with LogEngine.open(tmp_path) as store:
            assert dict(store) == {b"k": b"v"}
