"""Torn tail or rot? What bad bytes at the end of the log mean.

A crash leaves a torn tail: records that were not durable yet. It is cut, and nothing is lost that was promised. Rot
looks the same at the place itself; what differs is what comes behind. Each record carries the watermark of its moment:
the offset up to which the file was known to be durable. So a sound record *behind* the bad bytes whose watermark lies
*above* them is a witness: they were once safely on the disk. Then it is rot, and cutting would lose in silence what was
promised.

A store that was closed testifies in a second way. A file with room ahead ends with a full sector; a sealed one never
does, and its last sector holds the seal. When that last, unfull sector is nothing but zeros, a disk has lost it. Two
things look like it and are not: a record of zeros that was cut short behind our back, which is as good as after a
crash; and zeros added directly behind a seal, for a record there would begin in the seal's own sector, and not with a
zero.

Without watermarks a flipped bit in an old record cuts off everything after it: in a trial, one flip in four did.
"""

from zlib import crc32

from kvs.log.disk import Memory
from kvs.log.record import (
    ENVELOPE_BYTES,
    HEADER,
    HEADER_BYTES,
    RESIDUE,
    SEAL,
    START,
    TOMBSTONE,
    VALUE,
    is_plausible,
)
from kvs.log.segment import SECTOR_BYTES


def why_rot(memory: Memory, bad_at: int, seed: int, sequence: int, *, follows_seal: bool) -> str | None:
    """Say what testifies that the bad bytes of the last segment were once durable; None if they are a torn tail.

    Args:
        memory: the segment's bytes.
        bad_at: the offset of the bad bytes.
        seed: what the file's checksums begin with.
        sequence: the sequence of the last good record before them.
        follows_seal: whether that record is a seal.
    """
    behind = memory[bad_at:]
    used_bytes = len(behind.rstrip(b"\0"))
    # Some more for the search: a last record may itself end with zeros.
    witness = find_witness(behind[: used_bytes + ENVELOPE_BYTES], bad_at, seed, sequence)
    if witness is not None:
        return f"the record at {witness} says that it was durable"
    last_sector = memory[len(memory) - len(memory) % SECTOR_BYTES :]
    is_lost_sector = last_sector and not last_sector.strip(b"\0")
    was_added = follows_seal and not used_bytes
    if is_lost_sector and not was_added and not _is_unfinished(behind, sequence):
        return "the file was sealed, and its last sector is zeros"
    return None


def _is_unfinished(data: bytes, sequence: int) -> bool:
    """Tell whether these bytes are the beginning of the next record, whose end is missing; or nothing at all."""
    if len(data) < HEADER_BYTES:
        return not data or data[0] in {VALUE, TOMBSTONE, SEAL}
    kind, flags, key_size, value_size, this_sequence, _ = HEADER.unpack_from(data)
    is_next = this_sequence > sequence and is_plausible(kind, flags, key_size, value_size)
    return is_next and ENVELOPE_BYTES + key_size + value_size > len(data)


def find_witness(data: bytes, bad_at: int, seed: int, sequence: int) -> int | None:
    """Look for a later record which says that the bytes at `bad_at` were durable.

    Args:
        data: the file's bytes from `bad_at` on.
        bad_at: the offset in the file of the bad bytes.
        seed: what the file's checksums begin with.
        sequence: the sequence of the last good record before; a witness has a higher one.

    Returns:
        The witness's offset in the file, or None.

    Cost: linear but for bytes made to look like headers; each of those costs one checksum.
    """
    for match in START.finditer(data, 1):
        start = match.start()
        if start + ENVELOPE_BYTES > len(data):
            return None
        kind, flags, key_size, value_size, this_sequence, watermark = HEADER.unpack_from(data, start)
        stop = start + ENVELOPE_BYTES + key_size + value_size
        if (
            watermark > bad_at
            and this_sequence > sequence
            and stop <= len(data)
            and is_plausible(kind, flags, key_size, value_size)
            and _checks_out(data[start:stop], kind, watermark, bad_at + start, seed)
        ):
            return bad_at + start
    return None


def _checks_out(data: bytes, kind: int, watermark: int, offset: int, seed: int) -> bool:
    """Tell whether these bytes are a record that was written at this offset; or a seal, wherever it was written.

    A seal's watermark is its own offset, or that of a first seal before it. So a seal that a disk has put into
    another sector's place can still testify.
    """
    places = (offset, watermark, watermark + ENVELOPE_BYTES) if kind == SEAL else (offset,)
    return any(crc32(data, seed ^ place) == RESIDUE for place in places)
