"""Task 2.8: nothing acknowledged is lost, whenever the process dies; and with fsync, whenever the power does."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_scenario import PREPARED_STEPS, STEPS, history, open_store
from support.child import run_program, start_program
from support.cli import Cli
from support.session import Session
from support.target import ROOT, Target

import kvs
from kvs import LogEngine

pytestmark = pytest.mark.task("2.8")

WRITER = """
import sys
from kvs import LogEngine
path, sync = sys.argv[1:]
store = LogEngine.open(path, sync=sync, segment_bytes=2048, compact_dead_bytes=4096, compact_dead_ratio=0.5)
number = int(store.get(b"count", b"0"))
while True:
    number += 1
    store.set(b"key%d" % (number % 7), b"%d" % number * 9)
    store.set(b"count", b"%d" % number)
    print(number, flush=True)
"""
"""Counts for ever, merging as it goes, and tells each number when it is stored."""

SYNC_COUNTER = """
import os, sys
calls = [0]
def counted(real):
    def call(*arguments):
        calls[0] += 1
        return real(*arguments)
    return call
os.fsync = counted(os.fsync)
if hasattr(os, "fdatasync"):
    os.fdatasync = counted(os.fdatasync)
from kvs import LogEngine
store = LogEngine.open(sys.argv[1], sync=sys.argv[2], segment_bytes=1 << 20)
for number in range(20):
    before = calls[0]
    store.set(b"key", b"value") if number % 2 == 0 else store.remove(b"key")
    print(calls[0] - before)
before = calls[0]
store.set(b"last", b"one")
store.sync()
print(calls[0] - before)
store.close()
"""
"""Prints how many fsyncs each of 20 writes made, and then how many a sync() made."""

FAILING_SYNC = """
import errno, os, sys
is_failing = False
def guarded(real):
    def call(*arguments):
        if is_failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments)
    return call
os.fsync = guarded(os.fsync)
if hasattr(os, "fdatasync"):
    os.fdatasync = guarded(os.fdatasync)
import kvs
def attempt(key):
    try:
        store.set(key, b"value")
    except kvs.StorageError as error:
        return "refused"
    return "stored"
store = kvs.LogEngine.open(sys.argv[1], sync="always")
print(attempt(b"before"))
is_failing = True
print(attempt(b"during"))
is_failing = False
print(attempt(b"after"))
print(store.get(b"before"))
os._exit(0)
"""
"""Writes before, during and after a time in which fsync fails."""

FULL_DISK = """
import resource, signal, sys
import kvs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = kvs.LogEngine.open(sys.argv[1], sync="none")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
store.set(b"key", b"first")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
stored = 0
try:
    for number in range(100):
        store.set(b"filler%d" % number, bytes(9_000))
        stored += 1
    print("never refused")
except kvs.StorageError:
    print("refused")
try:
    store.set(b"key", bytes(300_000))
    print("stored")
except kvs.StorageError:
    print("refused")
print(store.get(b"key") == b"first", len(store) == stored + 1, b"filler%d" % stored in store)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.set(b"later", b"there is room again")
store.close()
with kvs.LogEngine.open(sys.argv[1]) as store:
    print(store.get(b"key") == b"first", len(store) == stored + 2, store.get(b"later") == b"there is room again")
"""
"""Writes until no file may grow any more, which is what a full disk looks like, and on when there is room again."""


@pytest.mark.parametrize("sync", ["always", "interval", "none"])
def test_kill_loses_nothing_acknowledged(target: Target, scratch: Path, sync: str) -> None:
    """A store whose process is killed with `kill -9` holds every acknowledged write, in every sync mode."""
    reached = 0
    for more in (1, 2, 30, 150):
        with start_program(target, WRITER, scratch, sync) as child:
            lines = [child.read_line() for _ in range(more)]
            child.kill()
            lines += child.read_lines()
        acknowledged = int(next(line for line in reversed(lines) if line))
        assert acknowledged >= reached + more
        with LogEngine.open(scratch) as store:
            reached = int(store[b"count"])
            assert acknowledged <= reached <= acknowledged + 1, f"{acknowledged} were acknowledged, {reached} are there"
            newest = [max(n for n in range(reached + 2) if n % 7 == slot) for slot in range(min(7, reached + 1))]
            for number in filter(None, newest):
                if number <= reached:
                    assert store.get(b"key%d" % (number % 7)) == b"%d" % number * 9


@pytest.mark.parametrize("sync", ["always", "none"])
def test_crash_at_any_step(target: Target, scratch: Path, sync: str) -> None:
    """A process may die before any of its calls to the system: in recovery, writing, rotating, merging or closing.

    Killed, it loses nothing acknowledged. Without power it loses nothing that was durable, and keeps a prefix of
    history. The store opens by itself, and can be written to.
    """
    past, count = history(), 0
    reopened: dict[str, dict[bytes, bytes]] = {}
    for point in crash_points(target, scratch, sync):
        count += 1
        acknowledged = max(point["acknowledged"], PREPARED_STEPS)
        durable = max(point["durable"], PREPARED_STEPS)
        for kind in ("killed", "unsynced", "unnamed", "unlinked"):
            at_least = acknowledged if kind == "killed" else durable
            where, image = f"{kind} before {point['call']}", point[kind]
            if image not in reopened:
                reopened[image] = reopen(scratch / "images" / image, where)
            past.check(reopened[image], at_least=at_least, at_most=acknowledged + 1, where=where)
    assert count >= STEPS // 2, "a store that calls the system so rarely keeps nothing"


def crash_points(target: Target, scratch: Path, sync: str) -> Iterator[dict[str, Any]]:
    """Play the scenario, and tell as it goes what a crash before each call would leave."""
    (scratch / "images").mkdir()
    environment = target.environment()
    environment["PYTHONPATH"] += os.pathsep + str(ROOT / "tests")
    scenario = Path(__file__).with_name("crash_scenario.py")
    words = ["-P", "-m", "support.crash_points", str(scenario), str(scratch / "store"), str(scratch / "images"), sync]
    with Session([sys.executable, *words], environment, None, []) as player:
        while (line := player.read_line()) is not None:
            yield json.loads(line)
        assert player.wait() == 0, "the scenario failed; its traceback is on stderr"


def reopen(path: Path, where: str) -> dict[bytes, bytes]:
    """Return what the store in an image holds; it opens by itself, and what is then written to it stays."""
    __tracebackhide__ = True
    try:
        with open_store(path, "none") as store:
            found = dict(store)
            store.set(b"after the crash", b"value")
        with open_store(path, "none") as store:
            assert dict(store) == found | {b"after the crash": b"value"}, f"{where}: a later write is not there"
    except kvs.KvsError as error:
        pytest.fail(f"{where}: {type(error).__name__}: {error}")
    return found


def test_sync_always_syncs_before_it_acknowledges(target: Target, tmp_path: Path) -> None:
    """With sync="always", each set and each remove makes an fsync before it returns."""
    *writes, _ = map(int, run_program(target, SYNC_COUNTER, tmp_path, "always"))
    assert all(count >= 1 for count in writes)


def test_sync_none_leaves_it_to_the_system(target: Target, tmp_path: Path) -> None:
    """With sync="none", writes make no fsync, and sync() makes one when it is asked to."""
    *writes, synced = map(int, run_program(target, SYNC_COUNTER, tmp_path, "none"))
    assert sum(writes) <= 2
    assert synced >= 1


def test_sync_interval_syncs_now_and_then(target: Target, tmp_path: Path) -> None:
    """With sync="interval", which is the default, writes do not wait for an fsync each."""
    *writes, _ = map(int, run_program(target, SYNC_COUNTER, tmp_path, "interval"))
    assert sum(writes) <= 5


def test_failed_sync_fails_the_write_and_those_after_it(target: Target, tmp_path: Path) -> None:
    """When fsync fails the write raises StorageError, and so does every later one until a reopen; reads go on.

    After a failed fsync the system may have dropped the bytes, and a second fsync would call that a success.
    """
    answers = run_program(target, FAILING_SYNC, tmp_path)
    assert answers == ["stored", "refused", "refused", "b'value'"]
    with LogEngine.open(tmp_path) as store:
        assert store.get(b"before") == b"value"
        store.set(b"again", b"value")


def test_full_disk_hurts_nothing(target: Target, tmp_path: Path) -> None:
    """When a file cannot grow the write raises StorageError; the old values stay, and writing resumes with room."""
    answers = run_program(target, FULL_DISK, tmp_path)
    assert answers == ["refused", "refused", "True True False", "True True True"]


@pytest.mark.blackbox
def test_cli_killed_session_keeps_what_it_answered(cli: Cli) -> None:
    """A repl that is killed in mid-session has kept what it answered for."""
    with cli.session("repl") as session:
        for number in range(5):
            session.write(b"set key%d value%d\nget key%d\n" % (number, number, number))
            assert session.read_line() == b"value%d" % number
        session.kill()
    for number in range(5):
        cli("get", f"key{number}").expect(stdout=b"value%d\n" % number)
