"""The golden store: bytes that stand on disks must open for ever, and be written the same."""

import shutil
from pathlib import Path

import pytest
from log_disks import WatchedDisk
from support.directory import contents

from kvs import LogEngine
from kvs.log.options import LogOptions
from kvs.log.verify import check

GOLDEN = Path(__file__).parent / "golden" / "store"
PAIRS = {
    b"": b"the empty key",
    b"empty": b"",
    b"batch 1": b"one",
    b"batch 2": bytes(range(256)),
    b"overwritten": b"three",
    b"\xff\x00\n": "☃".encode(),
    b"last": b"\x01\x00\x03\x00" * 6,
}
NAMES = [
    "0000000002-1.data",
    "0000000002-1.hint",
    "0000000003.data",
    "0000000004.data",
    "0000000005.data",
    "ENGINE",
]
SEQUENCE = 20


def make(path: Path) -> None:
    """Make the golden store: merged and plain segments, a hint, a batch, tombstones, seals, all kinds of bytes.

    To make it anew, when a new format version is added beside this one: call this, and leave the LOCK out.
    """
    options = LogOptions(sync="none", segment_bytes=400, compact_dead_bytes=1 << 40)
    with LogEngine(WatchedDisk(path, seed=2024), options) as store:
        store[b"overwritten"] = b"one"
        store[b""] = b"the empty key"
        store[b"removed"] = bytes(200)
        store[b"overwritten"] = b"two" * 50
        del store[b"removed"]
        store[b"empty"] = b""
        store[b"overwritten"] = b"two" * 70
        store.compact()
        store[b"removed"] = b"again"
        store.write([(b"batch 1", b"one"), (b"batch 2", bytes(range(256))), (b"removed", None)])
        store[b"overwritten"] = b"three"
        store[b"\xff\x00\n"] = "☃".encode()
        store[b"last"] = b"\x01\x00\x03\x00" * 6


@pytest.mark.parametrize("has_hints", [True, False])
def test_golden_store_opens(tmp_path: Path, has_hints: bool) -> None:
    """A store of format version 1 gives exactly its pairs, by its hints and without them, and is found sound."""
    path = tmp_path / "store"
    shutil.copytree(GOLDEN, path)
    if not has_hints:
        for hint in path.glob("*.hint"):
            hint.unlink()
    with LogEngine.open(path, flag="r") as store:
        assert dict(store) == PAIRS
        assert list(store.scan()) == sorted(PAIRS.items())
        assert store.stats().recovery.was_clean
        assert store.stats().recovery.hints_used == int(has_hints)
        assert store.stats().sequence == SEQUENCE
    assert check(path).findings == []


def test_golden_bytes_are_written_again(tmp_path: Path) -> None:
    """The same steps with the same salts write the same bytes: the format has not changed in silence."""
    make(tmp_path / "store")
    written, golden = contents(tmp_path / "store"), contents(GOLDEN)
    written.pop("LOCK")
    assert sorted(written) == sorted(golden) == NAMES
    for name in NAMES:
        assert written[name].hex(" ", 4) == golden[name].hex(" ", 4), name


def test_golden_store_goes_on(tmp_path: Path) -> None:
    """A store of format version 1 can be written to, compacted and read again."""
    path = tmp_path / "store"
    shutil.copytree(GOLDEN, path)
    with LogEngine.open(path) as store:
        store[b"new"] = b"1"
        store.compact()
    with LogEngine.open(path) as store:
        assert dict(store) == {**PAIRS, b"new": b"1"}
