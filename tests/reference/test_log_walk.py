"""A walk over a data file: every byte belongs to exactly one piece, whatever is wrong with the file."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import inside
import pytest
from log_disks import WatchedDisk
from support.directory import flipped

from kvs import CorruptRecordError, LogEngine
from kvs.log import walk as walk_room
from kvs.log.disk import Memory
from kvs.log.options import LogOptions
from kvs.log.walk import Piece


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """Return a data file: two values, a tombstone, a seal, another value, and room."""
    with LogEngine(WatchedDisk(tmp_path), LogOptions(sync="none")) as store:
        store[b"a"] = b"1"
        store[b"b"] = b"22"
        del store[b"a"]
    with LogEngine(WatchedDisk(tmp_path), LogOptions(sync="none")) as store:
        store[b"c"] = b"333"
        return bytes(inside.segments(store)[0].memory[:1_024])


def walk(data: bytes, seed: int | None = None) -> Iterator[Piece]:
    """Walk bytes that are in no file."""
    return walk_room.walk(cast("Memory", data), seed)  # a walk only reads


def kinds(pieces: list[Piece]) -> list[str]:
    """Return the pieces' kinds."""
    return [piece.kind for piece in pieces]


def check_whole(pieces: list[Piece], data: bytes) -> None:
    """Check that the pieces lie side by side, from the first byte to the last."""
    at = 0
    for piece in pieces:
        assert piece.offset == at
        assert piece.size_bytes > 0
        at += piece.size_bytes
    assert at == len(data)


def test_pieces_of_a_sound_file(data: bytes) -> None:
    """A sound file is its header, its records and its room, each with what it says."""
    pieces = [*walk(data)]
    assert kinds(pieces) == ["header", "value", "value", "tombstone", "seal", "value", "room"]
    assert [piece.record.key for piece in pieces if piece.record] == [b"a", b"b", b"a", b"", b"c"]
    head = pieces[0].head
    assert head is not None
    assert head.id == 1
    check_whole(pieces, data)


def test_bad_bytes_end_where_the_next_sound_record_begins(data: bytes) -> None:
    """A damaged record is one bad piece of exactly its size; all records around it are found."""
    sound = [*walk(data)]
    for index, piece in enumerate(sound):
        if piece.record is None:
            continue
        for byte in range(piece.offset, piece.offset + piece.size_bytes):
            pieces = [*walk(flipped(data, byte * 8 + 3))]
            check_whole(pieces, data)
            others = [each for number, each in enumerate(sound) if number != index]
            assert [each for each in pieces if each.kind != "bad"] == others or index == 5
            [bad] = [each for each in pieces if each.kind == "bad"]
            assert bad.bad is not None
            assert bad.offset == piece.offset


def test_without_header_and_seed_nothing_can_be_said(data: bytes) -> None:
    """Where the header is damaged and no seed is known, the records are bad bytes; with the seed they are found."""
    head = next(walk(data)).head
    assert head is not None
    damaged = flipped(data, 100)
    assert kinds([*walk(damaged)]) == ["bad", "bad", "room"]
    assert kinds([*walk(damaged, head.seed)])[1:] == kinds([*walk(data)])[1:]
    assert kinds([*walk(data[:31])]) == ["bad"]
    assert kinds([*walk(data[:32])]) == ["header"]
    assert [*walk(b"")] == []


def test_every_cut_and_any_noise_is_walked_whole(data: bytes, rng: random.Random) -> None:
    """Whatever the bytes, the pieces cover them without gap or overlap."""
    for size in range(400):
        check_whole([*walk(data[:size])], data[:size])
    for _ in range(200):
        start = rng.randrange(len(data))
        noise = bytes(rng.choice([0, 1, 2, 3, 255]) for _ in range(rng.randrange(100)))
        damaged = data[:start] + noise + data[start + rng.randrange(100) :]
        check_whole([*walk(damaged)], damaged)


def test_records_of_a_segment_that_is_not_sound(tmp_path: Path) -> None:
    """Reading a segment's records raises at the first that is not sound, with its offset."""
    with LogEngine(WatchedDisk(tmp_path), LogOptions(sync="none")) as store:
        store[b"a"] = b"1"
        store[b"b"] = b"2"
        [segment] = inside.segments(store)
        assert [at for at, _ in walk_room.records(segment)] == [32, 58]
        segment.memory[60:61] = b"\xff"
        with pytest.raises(CorruptRecordError) as caught:
            list(walk_room.records(segment))
        assert caught.value.offset == 58
        with pytest.raises(CorruptRecordError) as caught:
            store.get(b"b")
        assert caught.value.offset == 58
        with pytest.raises(CorruptRecordError):
            list(store.scan())
        assert store.get(b"a") == b"1"
        segment.memory[60:61] = b"\x01"
