"""Replay: read a segment's records in order, and keep of each key what its last record says."""

from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from kvs.engine import MAX_VALUE_BYTES
from kvs.log.keydir import SIZE_BITS
from kvs.log.record import (
    CHECKSUM_BYTES,
    ENVELOPE_BYTES,
    HEADER,
    HEADER_BYTES,
    MORE,
    RESIDUE,
    SEAL,
    VALUE,
    Bad,
    is_plausible,
)
from kvs.log.segment import Segment, record_at

WINDOW_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Replay:
    """What the records of one segment come to, from some offset on.

    Args:
        end: offset behind the last record that counts; a batch counts when its last record is there.
        sequence: the highest sequence number so far.
        fresh: the keys that have a value here, with their locations.
        removed: the keys whose last record here is a tombstone.
        records: how many records were read.
        seal_bytes: what the seals among them take.
        is_sealed: whether the last record is a seal.
        watermark: the last record's; without one, 0.
        flaw: why reading stopped before the end of the file, and
        flaw_at: at which offset; it lies behind `end` when a batch is torn.
    """

    end: int
    sequence: int
    fresh: dict[bytes, int] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    records: int = 0
    seal_bytes: int = 0
    is_sealed: bool = False
    watermark: int = 0
    flaw: Bad | None = None
    flaw_at: int = 0


def replay(segment: Segment, state: Replay) -> None:  # noqa: C901  # see below
    """Read the records from `state.end` to the end of the file, or to the first bytes that are no record.

    One straight loop, since opening a large store is this and nothing else.
    """
    memory, seed, file_stop = segment.memory, segment.seed, len(segment.memory)
    unpack, base = HEADER.unpack_from, segment.base
    fresh, removed, sequence = state.fresh, state.removed, state.sequence
    batch: list[tuple[int, bytes, int]] = []  # the records of a batch whose last one is still to come
    at, window_bytes, records = state.end, WINDOW_BYTES, state.records
    while at < file_stop:
        window = memory[at : at + window_bytes]
        local, window_bytes, last = 0, WINDOW_BYTES, len(window)
        while (key_at := local + HEADER_BYTES) <= last:
            kind, flags, key_size, value_size, this_sequence, watermark = unpack(window, local)
            if this_sequence <= sequence or not (
                (kind == VALUE and flags <= MORE and value_size <= MAX_VALUE_BYTES)  # in line: it is nearly always so
                or is_plausible(kind, flags, key_size, value_size)
            ):
                break
            local_stop = key_at + key_size + value_size + CHECKSUM_BYTES
            if local_stop > last:
                window_bytes = max(WINDOW_BYTES, local_stop - local)
                break
            if crc32(window[local:local_stop], seed ^ (at + local)) != RESIDUE:
                break
            sequence = this_sequence
            records += 1
            key, location = window[key_at : key_at + key_size], base | (at + local) << SIZE_BITS | local_stop - local
            local = local_stop
            if flags or batch:
                batch.append((kind, key, location))
                if flags & MORE:
                    continue
                for entry in batch:
                    _apply(state, *entry)
                batch.clear()
            elif kind == VALUE and not removed:
                fresh[key] = location
            else:
                _apply(state, kind, key, location)
            state.end, state.watermark, state.is_sealed = at + local, watermark, kind == SEAL
        at += local
        if local == 0 and (window_bytes <= len(window) or at + len(window) >= file_stop):
            break  # not for want of bytes
    state.sequence, state.records = sequence, records
    if state.end < file_stop:
        state.flaw_at = at
        state.flaw = _flaw(segment, at)


def _apply(state: Replay, kind: int, key: bytes, location: int) -> None:
    """Let one record count."""
    if kind == VALUE:
        state.fresh[key] = location
        state.removed.discard(key)
    elif kind == SEAL:
        state.seal_bytes += ENVELOPE_BYTES
    else:
        state.fresh.pop(key, None)
        state.removed.add(key)


def _flaw(segment: Segment, offset: int) -> Bad:
    """Say why the bytes at which reading stopped are not the next record."""
    if offset == len(segment.memory):
        return Bad("the rest of a batch", "the end of the file")
    found = record_at(segment.memory, offset, segment.seed)
    return found if isinstance(found, Bad) else Bad("a record newer than the one before", f"sequence {found.sequence}")
