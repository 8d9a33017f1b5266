"""Task 2.2: every write is appended to a log, and reading the log again gives the store back."""

import random
import threading
from pathlib import Path

import pytest
from support.directory import contents, segments, total_bytes

import kvs
from kvs import LogEngine

pytestmark = pytest.mark.task("2.2")


def test_store_comes_back_after_a_reopen(tmp_path: Path, rng: random.Random) -> None:
    """Everything is there after a reopen: every key with its last value, and nothing else."""
    pairs = {rng.randbytes(rng.randrange(9)): rng.randbytes(rng.randrange(60)) for _ in range(300)}
    with LogEngine.open(tmp_path, sync="none") as store:
        for key, value in pairs.items():
            store.set(key, b"first")
            store.set(key, value)
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == pairs
        assert len(store) == len(pairs)


@pytest.mark.parametrize(
    "value",
    [b"", b"a\nb\n", b"\0\0", b"\xff\xfe", "☃".encode(), b"None", b"key", b"set key value\n", b"-1", b"{}", bytes(300)],
    ids=repr,
)
def test_any_value_survives(tmp_path: Path, value: bytes) -> None:
    """Any bytes survive as a value and as a key: none of them means something to the log, and none hides the next."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", value)
        store.set(value, b"as a key")
        store.set(b"last", b"one")
    with LogEngine.open(tmp_path, sync="none") as store:
        assert store.get(b"last") == b"one"
        assert store.get(value) == b"as a key"
        assert value == b"key" or store.get(b"key") == value


def test_value_that_looks_like_a_log_is_a_value(tmp_path: Path) -> None:
    """A value may hold a copy of the store's own files: none of it is taken for records."""
    with LogEngine.open(tmp_path / "one", sync="none") as store:
        store.set(b"key", b"inner")
        store.set(b"other", b"gone")
        store.remove(b"other")
    inner = b"".join(path.read_bytes() for path in segments(tmp_path / "one"))
    with LogEngine.open(tmp_path / "two", sync="none") as store:
        store.set(b"copy", inner)
        store.set(b"other", b"there")
    with LogEngine.open(tmp_path / "two", sync="none") as store:
        assert dict(store) == {b"copy": inner, b"other": b"there"}


def test_writes_append(tmp_path: Path) -> None:
    """A log only grows: after further writes its segment begins with the very bytes that it had."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"first value")
    before = b"".join(path.read_bytes() for path in segments(tmp_path))
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"second value")
    after = b"".join(path.read_bytes() for path in segments(tmp_path))
    assert b"first value" in after
    assert len(after) > len(before)


def test_many_reopens_lose_nothing(tmp_path: Path) -> None:
    """A store that is opened for each of its writes holds them all."""
    for number in range(25):
        with LogEngine.open(tmp_path, sync="none") as store:
            store.set(b"key%d" % number, b"%d" % number)
            store.set(b"last", b"%d" % number)
    with LogEngine.open(tmp_path, sync="none") as store:
        assert len(store) == 26
        assert store.get(b"last") == b"24"
        assert all(store.get(b"key%d" % number) == b"%d" % number for number in range(25))


def test_reopen_without_writes_changes_nothing(tmp_path: Path) -> None:
    """Opening and closing a store neither loses nor adds anything, and does not let it grow without end."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"value")
    before = total_bytes(tmp_path)
    for _ in range(5):
        with LogEngine.open(tmp_path, sync="none") as store:
            assert dict(store) == {b"key": b"value"}
    assert total_bytes(tmp_path) <= before + 500


def test_store_is_a_mapping(tmp_path: Path) -> None:
    """The log engine keeps the contract of stage 1: types, errors, brackets, len, in, iteration."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store[b"a"] = b"1"
        store[b"b"] = b""
        assert (len(store), b"a" in store, b"c" in store, sorted(store)) == (2, True, False, [b"a", b"b"])
        assert store[b"b"] == b""
        with pytest.raises(TypeError, match="str"):
            store.set("a", b"1")  # type: ignore[arg-type]  # a wrong type is the point
        with pytest.raises(TypeError, match="int"):
            store.set(b"a", 1)  # type: ignore[arg-type]  # as above
        with pytest.raises(kvs.InvalidKeyError):
            store.set(b"k" * 65_536, b"value")
        with pytest.raises(kvs.KeyNotFoundError):
            store[b"c"]
        assert store.pop(b"a") == b"1"
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == {b"b": b""}


def test_use_after_close_raises(tmp_path: Path) -> None:
    """After close() every call raises StoreClosedError; close() itself may be called again."""
    store = LogEngine.open(tmp_path, sync="none")
    store.set(b"key", b"value")
    store.close()
    store.close()
    for use in (
        lambda: store.get(b"key"),
        lambda: store.set(b"key", b"value"),
        lambda: store.remove(b"key"),
        lambda: len(store),
        lambda: b"key" in store,
        lambda: list(store),
        store.sync,
        store.compact,
        store.stats,
    ):
        with pytest.raises(kvs.StoreClosedError):
            use()


def test_flags_are_those_of_dbm(tmp_path: Path) -> None:
    """As with dbm.open: "r" and "w" want a store that is there, "r" refuses writes, "n" begins a new one."""
    missing = tmp_path / "missing"
    for flag in ("r", "w"):
        with pytest.raises(kvs.StorageError):
            LogEngine.open(missing, flag=flag)
    assert not missing.exists(), "looking for a store does not make one"
    with LogEngine.open(tmp_path / "store", flag="c") as store:
        store.set(b"key", b"value")
    before = contents(tmp_path / "store")
    with LogEngine.open(tmp_path / "store", flag="r") as store:
        assert store.get(b"key") == b"value"
        with pytest.raises(kvs.StorageError):
            store.set(b"key", b"other")
        with pytest.raises(kvs.StorageError):
            store.remove(b"key")
    assert contents(tmp_path / "store") == before, "reading changes no file"
    with LogEngine.open(tmp_path / "store", flag="n") as store:
        assert dict(store) == {}


def test_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A path that is a file is a StorageError that names it, and the file stays as it was."""
    path = tmp_path / "file"
    path.write_text("not a store")
    with pytest.raises(kvs.StorageError, match="file"):
        LogEngine.open(path)
    assert path.read_text() == "not a store"


def test_threads_may_write_at_once(tmp_path: Path) -> None:
    """Threads that write and read at once lose nothing, and each reads what it wrote."""
    wrong: list[bytes] = []

    def work(owner: int) -> None:
        for number in range(150):
            key = b"%d-%d" % (owner, number)
            store.set(key, key * 3)
            if store.get(key) != key * 3:
                wrong.append(key)

    with LogEngine.open(tmp_path, sync="none", segment_bytes=4096) as store:
        threads = [threading.Thread(target=work, args=(owner,)) for owner in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
    assert not wrong
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == {key: key * 3 for o in range(4) for n in range(150) for key in [b"%d-%d" % (o, n)]}
