"""Batches: sets and removes as the few commands that make them."""

from collections.abc import Iterator
from typing import Final

COMMAND_BYTES: Final = 1024 * 1024
"""A command of several pairs has about this size; a larger pair has a command to itself."""
COMMAND_KEYS: Final = 10_000


def batch_commands(batch: dict[bytes, bytes | None]) -> Iterator[list[bytes]]:
    """Yield commands that set and remove what a batch says. No key is in it twice, so their order does not matter.

    >>> list(batch_commands({b"a": b"1", b"b": None, b"c": b"3"}))
    [[b'MSET', b'a', b'1', b'c', b'3'], [b'DEL', b'b']]
    """
    pairs, size_bytes = [b"MSET"], 0
    gone = [b"DEL"]
    for key, value in batch.items():
        if value is None:
            gone.append(key)
        else:
            pairs += (key, value)
            size_bytes += len(key) + len(value)
        if size_bytes >= COMMAND_BYTES or len(pairs) > COMMAND_KEYS:
            yield pairs
            pairs, size_bytes = [b"MSET"], 0
        if len(gone) > COMMAND_KEYS:
            yield gone
            gone = [b"DEL"]
    yield from (words for words in (pairs, gone) if len(words) > 1)
