"""Writer: the growing end of the log. Which segment takes the next record, when it is full, sealed, and durable.

Invariants:
    1. Only the last segment grows, and only if it is not final: no merge wrote it, and none is to read it.
    2. A new segment is begun only when the one before is sealed and durable. So whatever the sync mode, what a power
       failure leaves is a prefix of history.
    3. After a failed fsync nothing is written any more: the kernel may have dropped the pages, and a second fsync
       would call that a success.
    4. Sequence numbers only go up, also when Ctrl-C comes between two steps: a number is taken before it is used.

Threads: none of its own; the engine's lock guards it.
"""

import logging
from struct import Struct
from typing import Final
from zlib import crc32

from kvs.errors import InvalidValueError, StorageError, StoreClosedError, WritesRefusedError
from kvs.log.compaction import write_hint
from kvs.log.disk import Disk
from kvs.log.files import SegmentName
from kvs.log.keydir import SIZE_BITS, SIZE_MASK, SLOT_SHIFT
from kvs.log.options import LogOptions
from kvs.log.record import CHECKSUM_BYTES, ENVELOPE_BYTES, HEADER, MORE, TOMBSTONE, VALUE
from kvs.log.recovery import Recovered
from kvs.log.segment import Segment

logger = logging.getLogger(__name__)

_pack_header = HEADER.pack
_pack_checksum = Struct("<I").pack

MAX_BATCH_BYTES: Final = 1 << 30
HINT_WORTH_BYTES: Final = 64 * 1024
"""Below this, replaying a segment is as fast as opening its hint."""


class Written:
    """Records of one batch that are in the log and not in the index yet: each key's location."""

    __slots__ = ("tombstones", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, int] = {}
        self.tombstones: dict[bytes, int] = {}


class Writer:
    """The segments of a log, and the end of it that grows.

    Args:
        disk: the directory, owned by this process if anything is to be written.
        options: where a segment ends.
        recovered: what recovery found; the writer goes on from there.

    Attributes:
        views: the memory and the seed of each segment by its slot: what a read needs, at one step instead of two.
        publishing: a batch that is just becoming the index's, key by key: each key's new location, None where it is
            removed. For readers without a lock, who see all of it here before any of it there. None between batches.
        batches: how many were published that way; counted after `publishing` is set, before the index changes.
    """

    def __init__(self, disk: Disk, options: LogOptions, recovered: Recovered) -> None:
        self.disk = disk
        self.segments = recovered.segments  # in the order of history
        self.by_slot = {segment.slot: segment for segment in self.segments}
        self.views = {segment.slot: (segment.memory, segment.seed) for segment in self.segments}
        self.keydir = recovered.keydir
        self.sequence = recovered.sequence
        self.publishing: dict[bytes, int] | dict[bytes, int | None] | None = None
        self.batches = 0
        self.active: Segment | None = None  # where records go; None when the next one must first ask for room
        self.last_sync: float | None = None
        self._options = options
        self._next_slot = max(self.by_slot, default=-1) + 1
        self._to_hint: Segment | None = None  # sealed, and its hint not written yet
        self._refusal: str | None = None
        self._is_closed = False

    # Who may write.

    def refuse(self, reason: str) -> None:
        """From now on take no writes."""
        self._refusal = reason
        self.active = None  # so that the next write asks for room, and learns why not

    def check_writable(self) -> None:
        """Raise StoreClosedError after close, WritesRefusedError where writes are refused."""
        if self._is_closed:
            raise StoreClosedError
        if self._refusal is not None:
            raise WritesRefusedError(f"{self.disk.path} takes no writes: {self._refusal}")

    @property
    def is_writable(self) -> bool:
        """Tell whether writes are taken."""
        return self._refusal is None

    # Append and publish.

    def append(self, batch: dict[bytes, bytes | None]) -> Written:
        """Put a batch into the log as one run of records, each but the last saying that more follow.

        Cost: 1.5 µs a record of 100 bytes. Encoding it by columns, with a function of C for each field, is no faster:
        what takes the time is the checksum, the packing and the copying.

        Raises:
            InvalidValueError: the batch is larger than MAX_BATCH_BYTES.
            WritesRefusedError, StorageError: as make_room.
        """
        size = ENVELOPE_BYTES * len(batch) + sum(map(len, batch)) + sum(map(len, filter(None, batch.values())))
        if size > MAX_BATCH_BYTES:
            raise InvalidValueError(f"a batch has at most {MAX_BATCH_BYTES:,} bytes, this one has {size:,}")
        active = self.active
        if active is None or active.end + size > active.room:
            active = self.make_room(size)
        written = Written()
        sequence, seed, durable, offset = self.sequence, active.seed, active.durable, active.end
        encoded = bytearray()
        left = len(batch)
        for key, value in batch.items():
            left -= 1
            sequence += 1
            flags = MORE if left else 0
            if value is None:
                body = _pack_header(TOMBSTONE, flags, len(key), 0, sequence, durable) + key
            else:
                body = _pack_header(VALUE, flags, len(key), len(value), sequence, durable) + key + value
            size = len(body) + CHECKSUM_BYTES
            place = written.tombstones if value is None else written.values
            place[key] = active.base | offset << SIZE_BITS | size
            encoded += body
            encoded += _pack_checksum(crc32(body, seed ^ offset))
            offset += size
        self.sequence = sequence
        active.append(bytes(encoded))
        return written

    def publish(self, written: Written) -> None:
        """Let the index say what the log says, all of it, also when Ctrl-C comes between the steps."""
        if len(written.values) + len(written.tombstones) > 1:
            removed = dict.fromkeys(written.tombstones)
            self.publishing = {**written.values, **removed} if removed else written.values
            self.batches += 1
        try:
            self._point_at(written)
        except BaseException:
            self._point_at(written)  # what it counts twice as dead, the next compaction counts anew
            raise
        finally:
            self.publishing = None

    def finish_publishing(self) -> None:
        """In a forked child: let the index say all of the batch that another thread was publishing at the fork."""
        batch, self.publishing = self.publishing or {}, None
        for key, location in batch.items():
            if location is None:
                self.keydir.entries.pop(key, None)
            else:
                self.keydir.entries[key] = location

    def _point_at(self, written: Written) -> None:
        """Point the keys of a write at their records."""
        keydir, entries = self.keydir, self.keydir.entries
        for key in entries.keys() & written.values.keys():
            old = entries[key]
            keydir.bury(old >> SLOT_SHIFT, old & SIZE_MASK)
        entries.update(written.values)
        for key, location in written.tombstones.items():
            keydir.remove(key, location)
            self.by_slot[location >> SLOT_SHIFT].removed.add(key)

    # Segments.

    def make_room(self, size_bytes: int) -> Segment:
        """Return the active segment with room for so many bytes; seal it and begin the next where it is full.

        Raises:
            WritesRefusedError: there is no writing here.
            StorageError: the disk is full; nothing was changed.
        """
        self.check_writable()
        last = self.segments[-1] if self.segments else None
        if last is None or last.is_final:
            active = self._begin_segment()
        elif last.end + size_bytes > self._options.segment_bytes and last.record_bytes:
            self.seal()
            active = self._begin_segment()
        else:
            active = last
        self.sequence = max(self.sequence, active.sequence)  # should Ctrl-C have come between a seal and its number
        active.reserve(size_bytes, self._options.segment_bytes)
        self.show(active)
        self.active = active
        return active

    def take_slot(self) -> int:
        """Return a number for a segment that no other has had."""
        self._next_slot += 1
        return self._next_slot - 1

    def replace(self, run: list[Segment], merged: Segment) -> None:
        """Let a merged segment, which is shown already, stand where those were that it holds now."""
        start = self.segments.index(run[0])
        self.segments[start : start + len(run)] = [merged]
        for segment in run:
            del self.by_slot[segment.slot], self.views[segment.slot]

    def _begin_segment(self) -> Segment:
        last_id = self.segments[-1].name.id if self.segments else 0
        segment = Segment.create(self.disk, SegmentName(last_id + 1, 0), self.take_slot())
        try:
            segment.settle()
        except StorageError as error:
            self.refuse(str(error))
            raise
        self.segments.append(segment)
        self.show(segment)
        return segment

    def show(self, segment: Segment) -> None:
        """Let reads see a segment, or the new mapping of one."""
        self.by_slot[segment.slot] = segment
        self.views[segment.slot] = (segment.memory, segment.seed)

    # Durability.

    @property
    def unsynced_bytes(self) -> int:
        """What is written and not known to be durable."""
        return self.segments[-1].end - self.segments[-1].durable if self.segments else 0

    def sync(self) -> None:
        """Make all that is written durable.

        Raises:
            WritesRefusedError: an fsync failed before, and took the promise with it.
            StorageError: it fails now; from now on writes are refused.
        """
        if not self.unsynced_bytes:
            return
        self.check_writable()
        try:
            self.segments[-1].sync()
        except StorageError as error:
            self.refuse(str(error))
            raise
        self.last_sync = self.disk.now()

    def seal(self) -> None:
        """Seal the last segment, unless nothing came since its last seal.

        Raises:
            StorageError: the disk is full; nothing was changed. Or an fsync failed; writes are refused from now on.
        """
        self.active = None
        if not self.segments or self.segments[-1].end == self.segments[-1].sealed:
            return
        last = self.segments[-1]
        last.keep_room_for_seal()
        try:
            last.seal(self.sequence)
        except StorageError as error:
            self.refuse(str(error))
            raise
        self.show(last)
        self.sequence = last.sequence
        self.last_sync = self.disk.now()
        self._to_hint = last

    def write_due_hint(self) -> None:
        """Write the hint of a segment that was sealed just now, where that is worth it.

        When the index knows all that is in the segment, and nothing newer that is not durable; see write_hint.
        """
        segment, self._to_hint = self._to_hint, None
        if segment is None or segment.end > segment.sealed:
            return  # no next segment could be made, so it goes on growing
        if segment.end - segment.hinted > max(HINT_WORTH_BYTES, segment.end // 8):
            found = self.keydir.locations_in(segment.slot)
            write_hint(segment, [*found], found.values(), [key for key in segment.removed if key not in found])

    def drop_due_hint(self) -> None:
        """Write no hint after all: a record that it would speak of did not get into the index, and would be lost."""
        self._to_hint = None

    def close(self) -> None:
        """Seal the log and let go of its files. A disk too full for a seal is no loss: what was written is durable.

        Raises:
            StorageError: an fsync failed. The files are closed all the same.
        """
        try:
            if self.is_writable:
                self.seal()
                self.write_due_hint()
        except StorageError as error:
            if not self.is_writable:
                raise
            logger.warning("%s: closed without a seal: %s", self.disk.path, error)
        finally:
            self._is_closed = True
            self.active = None
            for segment in self.segments:
                segment.file.close()
            self.segments, self.by_slot, self.views = [], {}, {}
