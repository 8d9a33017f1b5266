"""Torn tail or rot? What bad bytes at the end of the log mean.

A crash leaves a torn tail: records that nobody was promised. It is cut, and nothing is lost. Rot looks the same at the
place itself; what differs is what comes behind. Each record carries the watermark of its moment: the offset up to
which the file was known to be durable. So a sound record *behind* the bad bytes whose watermark lies *above* them
testifies that they were once safely on the disk. Then it is rot, and cutting would lose in silence what was promised.

Without watermarks a flipped bit in an old record cuts off everything after it: in a trial, one flip in four did.
"""

from zlib import crc32

from kvs.log.record import ENVELOPE_BYTES, HEADER, RESIDUE, START, is_plausible


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
            bad_at < watermark <= bad_at + start
            and this_sequence > sequence
            and stop <= len(data)
            and is_plausible(kind, flags, key_size, value_size)
            and crc32(data[start:stop], seed) == RESIDUE
        ):
            return bad_at + start
    return None
