"""Opening: the four flags, one owner or many readers, and nothing touched that is not ours."""

import gc
import os
import threading
from pathlib import Path

import inside
import pytest
from support.child import start_program
from support.directory import contents
from support.target import Target

import kvs
from kvs import (
    CorruptRecordError,
    LogEngine,
    StorageError,
    StoreLockedError,
    StoreMissingError,
    UnsupportedFormatError,
    WritesRefusedError,
    WrongEngineError,
)
from kvs.log import marker

READER = """
import sys
from kvs import LogEngine
with LogEngine.open(sys.argv[1], flag="r") as store:
    print(len(store), flush=True)
    sys.stdin.read()
"""
OWNER = """
import sys
from kvs import LogEngine
store = LogEngine.open(sys.argv[1])
store.set(b"owner", b"child")
print("open", flush=True)
sys.stdin.read()
"""


def make_store(path: Path) -> Path:
    """Make a store of a few pairs, closed."""
    with LogEngine.open(path, segment_bytes=200) as store:
        store.update({b"%d" % number: b"value" * number for number in range(20)})
        for number in range(0, 20, 4):
            del store[b"%d" % number]
    return path


def tear(path: Path) -> bytes:
    """Leave the store as a crash does: behind the seal a record, half of another, and room; return the file's bytes."""
    with LogEngine.open(path, segment_bytes=1 << 20) as store:
        store.set(b"torn", b"v" * 30)
        store.set(b"torn", b"v" * 60)
        active = inside.segments(store)[-1]
        data = active.memory[: active.end - 10] + bytes(200_000 // 512 * 512 - active.end + 10)
        name = active.name.data
    (path / name).write_bytes(data)
    return data


@pytest.mark.parametrize("flag", ["r", "w"])
def test_r_and_w_make_nothing(tmp_path: Path, flag: str) -> None:
    """Flags "r" and "w" want a store that is there; where there is none they raise StoreMissingError and make none."""
    with pytest.raises(StoreMissingError):
        LogEngine.open(tmp_path / "nowhere", flag=flag)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreMissingError, match="there is no store in"):
        LogEngine.open(tmp_path / "empty", flag=flag)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["empty"]


def test_c_makes_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    """Flag "c" makes the store, with the directories above it, and opens one that is there as it is."""
    path = tmp_path / "a" / "b"
    with LogEngine.open(path) as store:
        store[b"k"] = b"v"
    with LogEngine.open(path, flag="c") as store:
        assert dict(store) == {b"k": b"v"}
    with LogEngine.open(path, flag="w") as store:
        store[b"k"] = b"w"
    with LogEngine.open(path, flag="r") as store:
        assert dict(store) == {b"k": b"w"}


def test_n_begins_anew_and_erases_our_files_only(tmp_path: Path) -> None:
    """Flag "n" leaves an empty store, whatever there was; files that are not the store's stay."""
    make_store(tmp_path)
    foreign = {"notes.txt": b"mine", "7.data": b"mine", "0000000001.data.bak": b"mine", "sub/0000000001.data": b"mine"}
    (tmp_path / "sub").mkdir()
    for name, data in foreign.items():
        (tmp_path / name).write_bytes(data)
    with LogEngine.open(tmp_path, flag="n") as store:
        assert len(store) == 0
        assert {name: (tmp_path / name).read_bytes() for name in foreign} == foreign
        assert not list(tmp_path.glob("??????????.data"))
        store[b"new"] = b"1"
    with LogEngine.open(tmp_path) as store:
        assert dict(store) == {b"new": b"1"}


@pytest.mark.parametrize("flag", ["", "rw", "x", "C"])
def test_other_flag_is_refused(tmp_path: Path, flag: str) -> None:
    """Any other flag is a ValueError that lists the four; nothing is made."""
    with pytest.raises(ValueError, match="flag is one of r, w, c, n, not"):
        LogEngine.open(tmp_path / "store", flag=flag)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "option",
    [
        {"sync": "sometimes"}, {"sync_interval_s": 0}, {"sync_interval_s": -1.0}, {"sync_interval_s": float("nan")},
        {"sync_interval_s": float("inf")}, {"segment_bytes": 0}, {"segment_bytes": (1 << 31) + 1},
        {"compact_dead_bytes": -1}, {"compact_dead_ratio": 1.5}, {"compact_dead_ratio": -0.1},
    ],
    ids=str,
)  # fmt: skip
def test_option_out_of_range_is_refused(tmp_path: Path, option: dict[str, object]) -> None:
    """An option outside its range is a ValueError that names it; nothing is made."""
    [name] = option
    with pytest.raises(ValueError, match=name):
        LogEngine.open(tmp_path / "store", **option)  # type: ignore[arg-type]  # wrong on purpose
    assert not (tmp_path / "store").exists()


@pytest.mark.timeout(30)
def test_several_processes_read_at_once(target: Target, tmp_path: Path) -> None:
    """Any number of readers, in this process and in others, and no writer meanwhile; then a writer again."""
    make_store(tmp_path)
    with start_program(target, READER, tmp_path) as one, start_program(target, READER, tmp_path) as two:
        assert (one.read_line(), two.read_line()) == (b"15", b"15")
        with LogEngine.open(tmp_path, flag="r") as here:
            assert len(here) == 15
        for flag in ("w", "c", "n"):
            with pytest.raises(StoreLockedError):
                LogEngine.open(tmp_path, flag=flag)
    with LogEngine.open(tmp_path) as store:
        assert len(store) == 15
        with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()}"):
            LogEngine.open(tmp_path, flag="r")


@pytest.mark.timeout(30)
def test_killed_owner_leaves_no_lock(target: Target, tmp_path: Path) -> None:
    """While the owner lives its pid is told; once it is killed, the store opens at once, with what it wrote."""
    with start_program(target, OWNER, tmp_path) as owner:
        assert owner.read_line() == b"open"
        with pytest.raises(StoreLockedError) as caught:
            LogEngine.open(tmp_path)
        assert caught.value.pid == owner.pid
        owner.kill()
        with LogEngine.open(tmp_path) as store:
            assert dict(store) == {b"owner": b"child"}
            assert not store.stats().recovery.was_clean


@pytest.mark.parametrize("is_torn", [False, True])
def test_reader_changes_nothing_on_disk(tmp_path: Path, is_torn: bool) -> None:
    """A reader reads, walks and closes, and every name and byte is as before, torn tail and leftovers included."""
    make_store(tmp_path)
    if is_torn:
        tear(tmp_path)
        (tmp_path / "0000000009-1.tmp").write_bytes(b"unfinished")
        (tmp_path / "0000000099.hint").write_bytes(b"of nothing")
    before = contents(tmp_path)
    with LogEngine.open(tmp_path, flag="r") as store:
        assert len(store) == 15 + is_torn
        list(store.scan())
        store.sync()
        store.stats()
        assert contents(tmp_path) == before
    assert contents(tmp_path) == before
    with LogEngine.open(tmp_path) as store:
        assert not (tmp_path / "0000000099.hint").exists()
        assert not (tmp_path / "0000000009-1.tmp").exists()


def test_reader_refuses_to_write(tmp_path: Path) -> None:
    """Every write through a reader raises WritesRefusedError, also a removal of what is not there."""
    make_store(tmp_path)
    for sync in ("interval", "always"):
        with LogEngine.open(tmp_path, flag="r", sync=sync) as store:
            calls = [
                lambda: store.set(b"k", b""), lambda: store.remove(b"1"), lambda: store.remove(b"none"),
                lambda: store.write([(b"k", b"")]), store.compact, store.clear,
            ]  # fmt: skip
            for call in calls:
                with pytest.raises(WritesRefusedError, match="it was opened to read only"):
                    call()
            assert len(store) == 15


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"sqlite 1\n", WrongEngineError), (b"log 2\n", UnsupportedFormatError), (b"log 0\n", UnsupportedFormatError),
        (b"", CorruptRecordError), (b"log 1", CorruptRecordError), (b"log 1\n\n", CorruptRecordError),
        (b"LOG 1\n", CorruptRecordError), (b"\xff" * 100, CorruptRecordError),
        (b"unfinished-copy 1\n", WrongEngineError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
def test_what_is_not_ours_is_refused_untouched(tmp_path: Path, line: bytes, error: type[Exception], flag: str) -> None:
    """A directory of another engine, of a later version, or with a damaged marker is refused; nothing is touched."""
    make_store(tmp_path)
    (tmp_path / "ENGINE").write_bytes(line)
    before = contents(tmp_path)
    with pytest.raises(error):
        LogEngine.open(tmp_path, flag=flag)
    assert contents(tmp_path) == before


def test_marker_is_frozen(tmp_path: Path) -> None:
    """The marker's one line stands on disks; without it, segments speak for themselves, and a writer makes it anew."""
    make_store(tmp_path)
    assert (tmp_path / "ENGINE").read_bytes() == b"log 1\n"
    (tmp_path / "ENGINE").unlink()
    with LogEngine.open(tmp_path, flag="r") as store:
        assert len(store) == 15
    assert not (tmp_path / "ENGINE").exists()
    LogEngine.open(tmp_path).close()
    assert (tmp_path / "ENGINE").read_bytes() == b"log 1\n"
    assert marker.FAMILY == "log"


def test_a_path_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """A file in the directory's place is a StorageError; the file stays as it is."""
    (tmp_path / "file").write_bytes(b"mine")
    for flag in "rwcn":
        with pytest.raises(StorageError):
            LogEngine.open(tmp_path / "file", flag=flag)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_failed_open_lets_go_of_the_directory(tmp_path: Path) -> None:
    """A store that cannot be opened for rot is locked by nobody afterwards: once mended, it opens."""
    make_store(tmp_path)
    first = tmp_path / "0000000001.data"
    data = first.read_bytes()
    first.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    with pytest.raises(CorruptRecordError):
        LogEngine.open(tmp_path)
    first.write_bytes(data)
    LogEngine.open(tmp_path).close()


def test_failed_making_lets_go_of_the_directory(tmp_path: Path) -> None:
    """A store whose marker cannot be made is locked by nobody afterwards."""
    (tmp_path / "ENGINE.tmp").mkdir()
    with pytest.raises(StorageError):
        LogEngine.open(tmp_path)
    (tmp_path / "ENGINE.tmp").rmdir()
    LogEngine.open(tmp_path).close()


@pytest.mark.timeout(20)
def test_forgotten_store_ends_with_its_last_reference(tmp_path: Path) -> None:
    """A store that is dropped without close() gives up its directory and its thread; what it wrote is there."""
    before = threading.active_count()
    store = LogEngine.open(tmp_path, sync_interval_s=0.01)
    store[b"k"] = b"v"
    assert threading.active_count() == before + 1
    [ticker] = [thread for thread in threading.enumerate() if thread.name == "kvs-ticker"]
    del store
    gc.collect()
    ticker.join(10)
    assert not ticker.is_alive()
    gc.collect()
    with LogEngine.open(tmp_path) as store:
        assert dict(store) == {b"k": b"v"}


def test_it_shows_what_it_is(tmp_path: Path) -> None:
    """Repr names the engine, the directory, and how many keys there are, or that it is closed."""
    with LogEngine.open(tmp_path) as store:
        store.update({b"%d" % number: b"" for number in range(1_234)})
        assert repr(store) == f"<LogEngine {str(tmp_path)!r}, 1,234 keys>"
    assert repr(store) == f"<LogEngine {str(tmp_path)!r}, closed>"


def test_face_opens_the_log_by_default(tmp_path: Path) -> None:
    """kvs.open makes a log store, passes flag and options on, and needs nothing else said."""
    with kvs.open(tmp_path, flag="c", sync="always") as store:
        assert isinstance(store, LogEngine)
        store[b"k"] = b"v"
        assert store.stats().unsynced_bytes == 0


def test_dropped_store_lets_go_of_its_directory(tmp_path: Path) -> None:
    """A store that is dropped without close() frees its directory at once, with the garbage collector switched off."""
    gc.disable()
    try:
        store = LogEngine.open(tmp_path, sync="none")
        store[b"a"] = b"1"
        del store
        with LogEngine.open(tmp_path) as again:
            assert dict(again) == {b"a": b"1"}
    finally:
        gc.enable()
