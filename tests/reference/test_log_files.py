"""Names in the directory: order by number, and nobody else's file taken for ours."""

import random

import pytest

from kvs.log import files
from kvs.log.files import SegmentName

ARABIC_DIGITS = f"{chr(0x660) * 9}{chr(0x667)}.data"
FOREIGN = [
    "", "notes.txt", "7.data", "000000007.data", "00000000007.data", "0000000007.DATA", "0000000007.data ",
    " 0000000007.data", "0000000007.data\n", "0000000007.data~", "0000000007-.data", "0000000007-0.data",
    "0000000007-01.data", "0000000007--1.data", "-1.data", "0000000007", "0000000007.lock",
    ARABIC_DIGITS,
    "engine", "LOCK.tmp", "backup/0000000007.data", "0000000007.data.gz",
    "4294967296.data", "0000000007-4294967296.data",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_name_is_foreign(name: str) -> None:
    """A name that the store does not write itself, to the letter, is somebody else's."""
    assert files.parse(name) is None
    assert files.ours([name]) == []


def test_names_are_frozen() -> None:
    """These names stand on disks."""
    name = SegmentName(7, 2)
    assert (name.data, name.hint, name.temporary) == ("0000000007-2.data", "0000000007-2.hint", "0000000007-2.tmp")
    assert SegmentName(7, 0).data == "0000000007.data"
    assert SegmentName(4_294_967_295, 0).data == "4294967295.data"


def test_names_are_read_as_written(rng: random.Random) -> None:
    """Every name that a segment can have is told by its file names."""
    for _ in range(200):
        name = SegmentName(rng.getrandbits(rng.randint(1, 32)), rng.choice([0, 0, 1, 2, 10, 99]))
        assert files.parse(name.data) == (name, "data")
        assert files.parse(name.hint) == (name, "hint")
        assert files.parse(name.temporary) == (name, "tmp")


def test_history_runs_by_number() -> None:
    """Segment 10 comes after segment 9, and generation 10 after generation 9, whatever the text says."""
    names = [SegmentName(*pair) for pair in [(9, 0), (9, 9), (9, 10), (10, 0), (99, 0), (100, 0), (1_000_000_000, 0)]]
    listed = [name.data for name in reversed(names)]
    assert files.with_ending([*listed, "0000000001.hint", "x.data"], "data") == names


def test_ours_are_all_but_the_lock() -> None:
    """What a store may erase is its segments, hints, unfinished files and its marker; never the lock, nor others."""
    mine = ["ENGINE", "ENGINE.tmp", "0000000001.data", "0000000001.hint", "0000000001-1.tmp"]
    assert files.ours(["LOCK", *mine, *FOREIGN]) == mine
