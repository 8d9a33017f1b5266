"""Segment: one append-only file of the log, active at first, then sealed.

    header | record | record | … | seal | zeros (only while active: room allocated ahead)

Invariants:
    1. Bytes before `end` never change. So a slice of them may be read at any time, by anybody.
    2. `durable` <= `end`: what lies before `durable` was fsynced. Each record carries it as its watermark.
    3. A seal is written only when all before it is durable: it says so to whoever finds a bad record there.
    4. A sealed segment ends with its seal, to the byte, and its length tells that it was sealed: see SECTOR_BYTES. So
       when its last sector is zeros, that is rot, and not room.
"""

from typing import Final

from kvs.errors import CorruptRecordError, UnsupportedFormatError
from kvs.log import header, record
from kvs.log.disk import Disk, File, Memory
from kvs.log.files import SegmentName
from kvs.log.header import SegmentHeader
from kvs.log.keydir import SLOT_SHIFT

MAX_SEGMENT_BYTES: Final = 1 << 31
"""Offsets have 32 bits, and the largest batch must fit behind the largest segment that is not full."""
FIRST_ROOM_BYTES: Final = 64 * 1024
MAX_GROWTH_BYTES: Final = 16 * 1024 * 1024
SECTOR_BYTES: Final = 512
"""The unit in which disks lose bytes. While a segment has room allocated ahead, its length is a multiple of this; once
it is sealed it never is, and the last, unfull sector holds the seal from its first byte to its last."""
SEAL_ROOM_BYTES: Final = 2 * record.ENVELOPE_BYTES
"""Kept free behind the records: for a seal, and for a second one where the first would reach the end of a sector."""


class Segment:
    """One data file and what is known of it.

    Args:
        disk: the directory it lies in.
        file: the open file.
        head: its header.
        slot: a number that this process gives it, once; a location in the keydir names it.
    """

    __slots__ = (
        "base", "disk", "durable", "end", "file", "head", "hinted", "is_final", "memory", "name", "removed", "room",
        "seal_bytes", "sealed", "seed", "sequence", "slot", "vouched",
    )  # fmt: skip

    def __init__(self, disk: Disk, file: File, head: SegmentHeader, slot: int) -> None:
        self.disk = disk
        self.file = file
        self.memory: Memory = file.memory  # used on every get and set: one step instead of two
        self.head = head
        self.seed = head.seed
        self.name = SegmentName(head.id, head.generation)
        self.slot = slot
        self.base = slot << SLOT_SHIFT  # the slot's part of a location
        self.room = 0  # offset up to which records may reach; 0 unless active
        self.end = header.SIZE_BYTES  # where the next record goes
        self.durable = header.SIZE_BYTES
        self.vouched = 0  # the last record's watermark, when the segment is opened again
        self.sealed = header.SIZE_BYTES  # offset behind the last seal
        self.hinted = header.SIZE_BYTES  # offset up to which its hint file speaks
        self.seal_bytes = 0  # of `end`, what the seals take
        self.sequence = 0  # the newest record's, once sealed
        self.removed: set[bytes] = set()  # keys whose last record here is a tombstone
        self.is_final = self.is_merged  # nothing is ever appended again, whatever room there is

    @classmethod
    def create(cls, disk: Disk, name: SegmentName, slot: int) -> "Segment":
        """Make a new, empty segment. It must be `settle`d before any record can come.

        Raises:
            StorageError: no room, or the system refused; no file is left behind.
        """
        head = SegmentHeader(name.id, name.generation, first_id=name.id, salt=disk.random_salt())
        file = disk.create(name.data, FIRST_ROOM_BYTES)
        file.memory[: header.SIZE_BYTES] = header.encode(head)
        return cls(disk, file, head, slot)

    def settle(self) -> None:
        """Make a new segment's header and its name durable.

        Raises:
            StorageError: an fsync failed; nothing must be written in this directory any more.
        """
        self.file.sync()
        self.disk.sync_dir()

    @classmethod
    def open(cls, disk: Disk, name: SegmentName, slot: int, *, writable: bool = False) -> "Segment":
        """Open a segment and read its header; its records are recovery's business.

        Raises:
            CorruptRecordError: no sound header, or one of another file.
            UnsupportedFormatError: written in a format of the future.
        """
        file = disk.open(name.data, writable=writable)
        head = read_header(disk, name, file.memory[: header.SIZE_BYTES])
        return cls(disk, file, head, slot)

    @property
    def path(self) -> str:
        """The file's path, for messages."""
        return f"{self.disk.path}/{self.name.data}"

    @property
    def record_bytes(self) -> int:
        """How many bytes its records take, live and dead; header and seals apart."""
        return self.end - header.SIZE_BYTES - self.seal_bytes

    @property
    def is_merged(self) -> bool:
        """Tell whether a merge wrote this segment; such a one was durable before it had its name."""
        return self.head.generation > 0

    def reserve(self, size_bytes: int, limit_bytes: int = MAX_SEGMENT_BYTES) -> None:
        """Make sure that so many more bytes fit behind `end`, and a seal behind them.

        Args:
            size_bytes: what is to be appended next, and may go beyond the limit.
            limit_bytes: where the segment is to end otherwise.

        Room doubles as the file grows, so that a small store stays small and a large one seldom asks.

        Raises:
            StorageError: the disk is full; the segment is as it was.
        """
        have = len(self.memory)
        need = self.end + size_bytes + SEAL_ROOM_BYTES
        if need > have:
            size = max(need, have + min(have, MAX_GROWTH_BYTES), FIRST_ROOM_BYTES)
            self.file.grow(-(-size // SECTOR_BYTES) * SECTOR_BYTES)
            self.memory = self.file.memory
        self.room = min(len(self.memory) - SEAL_ROOM_BYTES, max(limit_bytes, self.end + size_bytes))

    def append(self, data: bytes) -> int:
        """Put encoded records at the end, in room that was reserved, and return their offset."""
        offset = self.end
        self.memory[offset : offset + len(data)] = data
        self.end = offset + len(data)
        return offset

    def sync(self) -> None:
        """Make all records durable. The caller holds off writers meanwhile.

        Raises:
            StorageError: the fsync failed; this file must not be written any more.
        """
        if self.durable < self.end:
            end = self.end
            self.file.sync()
            self.durable = end

    def keep_room_for_seal(self) -> None:
        """Make sure that a seal fits; while a segment is active, it does.

        Raises:
            StorageError: the disk is full; the segment is as it was.
        """
        if self.end + SEAL_ROOM_BYTES > len(self.memory):
            self.reserve(0)

    def seal(self, sequence: int) -> None:
        """Sync, write a seal into the room that is kept for it, and cut off what lies behind, durably.

        Args:
            sequence: the newest record's; the seal's is the next, and `sequence` afterwards.

        Raises:
            StorageError: an fsync failed; this file must not be written any more.
        """
        self.sync()
        self.sequence = sequence
        self._append_seal()
        if self.end % SECTOR_BYTES < record.ENVELOPE_BYTES:  # it reaches into two sectors, or fills one
            self._append_seal()
        self.cut()
        self.sealed = self.end

    def _append_seal(self) -> None:
        self.sequence += 1
        self.append(record.encode(record.SEAL, b"", b"", self.sequence, self.durable, self.seed ^ self.end))
        self.seal_bytes += record.ENVELOPE_BYTES

    def write_again(self) -> None:
        """Write anew what no fsync has vouched for yet, so that the next one takes it along.

        After a failed fsync the kernel takes pages for clean that never reached the disk, and keeps showing them.
        """
        doubtful = self.memory[self.vouched : self.end]
        self.memory[self.vouched : self.end] = doubtful

    def cut(self) -> None:
        """Make all up to `end` durable, and cut off whatever lies behind.

        First the one, then the other: a file that is short enough to be sealed must not have holes.

        Raises:
            StorageError: truncation or fsync failed; this file must not be written any more.
        """
        self.file.sync()
        self.durable = self.end
        self.room = 0
        if len(self.memory) > self.end:
            self.file.truncate(self.end)
            self.memory = self.file.memory
            self.file.sync()

    def rot_at(self, offset: int) -> CorruptRecordError:
        """Return the error for a record that the index knows and whose checksum does not fit."""
        return self.corrupt(offset, record_at(self.memory, offset, self.seed))

    def corrupt(self, offset: int, bad: object) -> CorruptRecordError:
        """Return the error that reports rot at this offset."""
        if not isinstance(bad, record.Bad):
            bad = record.Bad("the record that the index knows", "another one")
        return CorruptRecordError(self.path, offset, expected=bad.expected, found=bad.found)


def record_at(memory: Memory, offset: int, seed: int) -> record.Record | record.Bad:
    """Decode the record at this offset of a file with this seed, reading no more of the file than that."""
    data = memory[offset : offset + record.HEADER_BYTES]
    if len(data) == record.HEADER_BYTES:
        data = memory[offset : offset + record.stated_size(data)]
    return record.decode(data, 0, seed ^ offset)


def read_header(disk: Disk, name: SegmentName, data: bytes) -> SegmentHeader:
    """Decode a segment's header and hold it against the file's name.

    Raises:
        CorruptRecordError, UnsupportedFormatError: as Segment.open.
    """
    path = f"{disk.path}/{name.data}"
    if header.has_sound_checksum(data) and header.version_of(data) != header.VERSION:
        raise UnsupportedFormatError(
            f"{path} is of format version {header.version_of(data)}; this kvs reads version {header.VERSION}"
        )
    head = header.decode(data)
    if head is None:
        raise CorruptRecordError(path, 0, expected="a segment header", found=data.hex(" ") or "nothing")
    if (head.id, head.generation) != name:
        found = f"that of {SegmentName(head.id, head.generation).data}"
        raise CorruptRecordError(path, 0, expected="the header of this file", found=found)
    return head
