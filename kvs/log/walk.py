"""Walk a data file from end to end, whatever its state: each byte belongs to exactly one piece.

Recovery stops at the first bytes that make no sense; those who look for damage, or save what can be saved, must go on
behind them. So a walk looks for the next sound record, and says what it passed over.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple
from zlib import crc32

from kvs.log import header, record
from kvs.log.disk import Memory
from kvs.log.header import SegmentHeader
from kvs.log.record import Bad, Record
from kvs.log.segment import Segment, record_at

Kind = Literal["header", "value", "tombstone", "seal", "bad", "room"]
KINDS: Final[dict[int, Kind]] = {record.VALUE: "value", record.TOMBSTONE: "tombstone", record.SEAL: "seal"}


class Piece(NamedTuple):
    """A stretch of a data file.

    Args:
        kind: what it is; "bad" is damaged or torn, "room" is zeros that were allocated ahead.
        offset: where it begins, in bytes from the start of the file.
        size_bytes: how long it is.
        head: the header, of a "header".
        record: the record, of a "value", "tombstone" or "seal".
        bad: what is wrong, of a "bad".
    """

    kind: Kind
    offset: int
    size_bytes: int
    head: SegmentHeader | None = None
    record: Record | None = None
    bad: Bad | None = None


def walk(memory: Memory, seed: int | None = None) -> Iterator[Piece]:
    """Return the pieces of a data file in order.

    Args:
        memory: the file's bytes.
        seed: what its checksums begin with, where that is known from elsewhere; else its header tells.
    """
    stop = len(memory)
    start = min(header.SIZE_BYTES, stop)
    head = header.decode(memory[:start])
    if head is not None:
        yield Piece("header", 0, start, head=head)
    elif start:
        yield Piece("bad", 0, start, bad=Bad("a segment header", memory[:start].hex(" ")))
    if seed is None and head is not None:
        seed = head.seed
    at = start
    while at < stop:
        found = Bad("a record", "bytes that no header vouches for") if seed is None else record_at(memory, at, seed)
        if isinstance(found, Record):
            yield Piece(KINDS[found.kind], at, found.size_bytes, record=found)
            at += found.size_bytes
        else:
            behind = memory[at:]
            next_at = at + (len(behind) if seed is None else _next_record(behind, at, seed))
            yield from _split_off_room(behind[: next_at - at], at, found, is_end=next_at == stop)
            at = next_at


def records(segment: Segment) -> Iterator[tuple[int, Record]]:
    """Return the records of a sound segment with their offsets.

    Raises:
        CorruptRecordError: it is not sound.
    """
    at = header.SIZE_BYTES
    while at < segment.end:
        found = record_at(segment.memory, at, segment.seed)
        if isinstance(found, Bad):
            raise segment.corrupt(at, found)
        yield at, found
        at += found.size_bytes


def _next_record(data: bytes, offset: int, seed: int) -> int:
    """Return where in the data the next sound record begins, the first byte apart; where none does, the end.

    Args:
        data: the file's bytes from an offset on.
        offset: that offset.
        seed: what the file's checksums begin with.
    """
    for match in record.START.finditer(data, 1):
        start = match.start()
        head = data[start : start + record.HEADER_BYTES]
        if len(head) < record.HEADER_BYTES:
            break
        stop = start + record.stated_size(head)
        if stop <= len(data) and crc32(data[start:stop], seed ^ (offset + start)) == record.RESIDUE:
            return start
    return len(data)


def _split_off_room(data: bytes, offset: int, bad: Bad, *, is_end: bool) -> Iterator[Piece]:
    """Return bad bytes as a piece, and zeros at the file's end as another."""
    bad_bytes = len(data.rstrip(b"\0")) if is_end else len(data)
    if bad_bytes:
        yield Piece("bad", offset, bad_bytes, bad=bad)
    if bad_bytes < len(data):
        yield Piece("room", offset + bad_bytes, len(data) - bad_bytes)
