"""Keydir: where in the log the current value of each key lies. Locations, never values.

A location is one int, since a small object per key would cost more than the keys:

    bits 0-29   size of the record, header and checksum included
    bits 30-61  its offset in the segment
    bits 62-    the slot: this process's number for the segment

With 16-byte keys that is about 155 bytes a key in all, of which the dict and the key take 105.
"""

from collections.abc import Iterable
from typing import Final

SIZE_BITS: Final = 30
SLOT_SHIFT: Final = SIZE_BITS + 32
SIZE_MASK: Final = (1 << SIZE_BITS) - 1
OFFSET_MASK: Final = (1 << 32) - 1


def pack(slot: int, offset: int, size_bytes: int) -> int:
    """Return the location of a record.

    >>> unpack(pack(5, 4096, 124))
    (5, 4096, 124)
    """
    return slot << SLOT_SHIFT | offset << SIZE_BITS | size_bytes


def unpack(location: int) -> tuple[int, int, int]:
    """Return slot, offset and size of a location."""
    return location >> SLOT_SHIFT, location >> SIZE_BITS & OFFSET_MASK, location & SIZE_MASK


class Keydir:
    """The index of a log, and the account of what is dead in it.

    Invariants:
        1. `entries[key]` is the location of the newest value of the key; a removed key is not there.
        2. `dead[slot]` is the bytes of that segment's records which no entry points at; tombstones are among them.

    Threads: the engine's lock guards it.
    """

    __slots__ = ("dead", "dead_bytes", "entries", "removals")

    def __init__(self) -> None:
        self.entries: dict[bytes, int] = {}
        self.dead: dict[int, int] = {}
        self.dead_bytes = 0  # the sum of `dead`
        self.removals = 0  # how many keys were ever removed; key order is kept by it

    def remove(self, key: bytes, tombstone: int) -> None:
        """Take the key out; the tombstone at this location is dead from birth."""
        old = self.entries.pop(key, None)
        if old is not None:
            self.bury(old >> SLOT_SHIFT, old & SIZE_MASK)
            self.removals += 1
        self.bury(tombstone >> SLOT_SHIFT, tombstone & SIZE_MASK)

    def bury(self, slot: int, size_bytes: int) -> None:
        """Count a record of this segment as dead."""
        self.dead[slot] = self.dead.get(slot, 0) + size_bytes
        self.dead_bytes += size_bytes

    def load(self, keys: Iterable[bytes], locations: Iterable[int], removed: Iterable[bytes]) -> None:
        """Take in what a whole segment says, newer than all that is here. `recount` is due when all are in.

        Args:
            keys: those with a value in it,
            locations: and where.
            removed: the keys whose last record in it is a tombstone.

        Cost: one dict update at C speed; only removed keys are looked at one by one.
        """
        entries = self.entries
        for key in removed:
            entries.pop(key, None)
        entries.update(zip(keys, locations, strict=True))

    def move(self, moves: Iterable[tuple[bytes, int, int]]) -> None:
        """Follow a merge: each key from its old location to its new one, unless it has a newer value by now."""
        entries = self.entries
        for key, old, new in moves:
            if entries.get(key) == old:
                entries[key] = new
            else:
                self.bury(new >> SLOT_SHIFT, new & SIZE_MASK)

    def recount(self, record_bytes: dict[int, int]) -> None:
        """Count anew what is dead, from the entries themselves.

        After loading, since `load` keeps no account. And before a merge: the running account can miss a record when
        Ctrl-C comes between a write's steps, and must not decide whether a tombstone hides nothing.

        Args:
            record_bytes: what all records of each segment take, by its slot.
        """
        dead = dict(record_bytes)
        for location in self.entries.values():
            dead[location >> SLOT_SHIFT] -= location & SIZE_MASK
        self.dead = dead
        self.dead_bytes = sum(dead.values())

    def forget(self, slot: int) -> None:
        """Drop the account of a segment that is no more."""
        self.dead_bytes -= self.dead.pop(slot, 0)

    def locations_in(self, slot: int) -> dict[bytes, int]:
        """Return the entries that point into one segment."""
        low, high = pack(slot, 0, 0), pack(slot + 1, 0, 0)
        return {key: location for key, location in self.entries.items() if low <= location < high}
