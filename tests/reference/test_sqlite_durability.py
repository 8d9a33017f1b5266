"""What a sqlite store keeps when its process is killed, the power fails, or an fsync does."""

import threading
import time
from pathlib import Path

import inside_sqlite
import pytest
from inside_sqlite import LINUX_ONLY, MODES
from support.child import start_program
from support.directory import contents, put
from support.target import Target

from kvs import SqliteEngine, StorageError, WritesRefusedError
from kvs.engines import files
from kvs.log.options import SyncMode

DEADLINE_S = 15

WRITER = """
import sys
from kvs import SqliteEngine
store = SqliteEngine.open(sys.argv[1], sync=sys.argv[2])
for number in range(10_000_000):
    store.write([(b"a%d" % number, b"v" * 50), (b"b%d" % number, b"v" * 50)])
    print(number, flush=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sync", MODES)
def test_killed_owner_loses_nothing_acknowledged(target: Target, tmp_path: Path, sync: str) -> None:
    """After kill -9 every acknowledged batch is there, whole, and the next owner needs no help."""
    least = 0
    for cycle in range(3):
        with start_program(target, WRITER, tmp_path / f"{cycle}", sync) as writer:
            for _ in range(50 + 150 * cycle):
                least = int(writer.read_line() or 0)
            writer.kill()
        with SqliteEngine.open(tmp_path / f"{cycle}") as store:
            found = inside_sqlite.pairs(store)
        count = len(found) // 2
        assert count > least
        assert found == {b"%b%d" % (name, number): b"v" * 50 for number in range(count) for name in (b"a", b"b")}


def test_cut_wal_is_a_prefix_of_history(tmp_path: Path) -> None:
    """Wherever a power failure cuts the WAL, the store opens, with a state that it once had."""
    states = [dict[bytes, bytes]()]
    with SqliteEngine.open(tmp_path / "whole", sync="none") as store:
        for number in range(12):
            store.write([(b"a", b"%d" % number), (b"k%d" % number, b"x" * 100), (b"k%d" % (number - 3), None)])
            states.append(inside_sqlite.pairs(store))
        whole = contents(tmp_path / "whole")
    seen = set()
    for size in range(0, len(whole[files.WAL]) + 1, 1_500):
        left = whole | {files.WAL: whole[files.WAL][:size]}
        for flag in "rc":
            with SqliteEngine.open(put(tmp_path / "left", left), flag=flag) as store:
                seen.add(states.index(inside_sqlite.pairs(store)))
    assert seen >= {0, 5, 11}


@LINUX_ONLY
def test_always_syncs_before_it_acknowledges(tmp_path: Path) -> None:
    """In mode "always" a write whose fsync fails raises, is not seen, and is the last one taken; reads go on."""
    for number, write in enumerate(
        [lambda s: s.set(b"k", b"new"), lambda s: s.remove(b"k"), lambda s: s.write([(b"k", b""), (b"l", b"")])]
    ):
        path = tmp_path / f"{number}"
        with SqliteEngine.open(path) as store:
            store[b"k"] = b"v"
        store = SqliteEngine.open(path, sync="always")
        store[b"j"] = b"1"
        with inside_sqlite.failing_fsync(path / files.WAL), pytest.raises(StorageError, match="disk I/O error"):
            write(store)
        for again in (write, lambda s: s.set(b"m", b""), lambda s: s.sync(), lambda s: s.compact()):
            with pytest.raises(WritesRefusedError, match="an fsync failed, and nobody knows what is durable"):
                again(store)
        assert inside_sqlite.pairs(store) == {b"j": b"1", b"k": b"v"}
        store.close()
        with SqliteEngine.open(path) as store:
            assert inside_sqlite.pairs(store)[b"j"] == b"1"
            store[b"k"] = b"taken again"


@LINUX_ONLY
@pytest.mark.parametrize("sync", ["interval", "none"])
def test_other_modes_sync_when_asked(tmp_path: Path, sync: SyncMode) -> None:
    """In the other modes a write waits for no fsync; sync() does, and tells when it fails."""
    with SqliteEngine.open(tmp_path, sync=sync, sync_interval_s=1_000) as store:
        store[b"first"] = b""
        with inside_sqlite.failing_fsync(tmp_path / files.WAL):
            store[b"k"] = b"v"
            with pytest.raises(StorageError, match="disk I/O error"):
                store.sync()
            with pytest.raises(WritesRefusedError):
                store[b"k"] = b"w"
            with pytest.raises(WritesRefusedError):
                store.sync()


def test_interval_syncs_by_itself(tmp_path: Path) -> None:
    """In mode "interval" a write reaches the database file, durably, with nobody asking; the thread ends at close()."""
    before = threading.active_count()
    store = SqliteEngine.open(tmp_path, sync_interval_s=0.01)
    assert threading.active_count() == before, "a store that is only read needs no thread"
    until = time.monotonic() + DEADLINE_S
    for value in (b"first value", b"other value"):
        store[b"k"] = value
        while value not in (tmp_path / files.DATABASE).read_bytes():
            assert time.monotonic() < until
            time.sleep(0.005)
    assert threading.active_count() == before + 1
    store.close()
    assert threading.active_count() == before


@LINUX_ONLY
def test_failed_sync_of_the_interval_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A sync of the interval that fails is logged once, and writes are refused from then on; reads go on."""
    with SqliteEngine.open(tmp_path, sync_interval_s=1_000) as store:
        store[b"k"] = b"v"
        with inside_sqlite.failing_fsync(tmp_path / files.WAL):
            for _ in range(3):
                inside_sqlite.tick(store)
            with pytest.raises(WritesRefusedError):
                store[b"k"] = b"w"
            assert store[b"k"] == b"v"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "is not durable" in caplog.text
