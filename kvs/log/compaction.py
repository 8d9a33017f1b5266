"""Compaction: which segments to merge, and the merge.

A merge writes the live records of a run of neighbouring segments into one new segment, which takes the run's place in
history: it has the last one's number, the next generation, and says in its header how far back it reaches. One rename
makes it count. From then on recovery leaves out whatever it covers, so that it does not matter which of the old files
a crash leaves behind.

Order, and what would break without it:
    1. write the merged segment under a temporary name, and sync it    else its name could come without its bytes
    2. sync the active segment; LogEngine seals it                     an old version is dropped because a newer one
                                                                       exists; were that one only in memory, a power
                                                                       failure would take both
    3. rename it; sync the directory                                   the point of no return
    4. move the keydir's entries, each unless it has a newer value     else a set of meanwhile would be undone
    5. let go of the old segments, unlink them, sync the directory     before step 3 is durable, a power failure could
                                                                       take the new name and leave the unlinks

Tombstones: one is needed as long as an older segment may still hold a value of its key. When every older segment is
free of dead bytes, none does: the value would be dead there.

Source: the merge process of Bitcask (Sheehy and Smith, 2010), and what its order leaves open.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from kvs.engine import Progress
from kvs.errors import StorageError
from kvs.log import header, hint, record
from kvs.log.disk import Disk
from kvs.log.files import SegmentName
from kvs.log.header import SegmentHeader
from kvs.log.keydir import SIZE_MASK, Keydir, pack
from kvs.log.record import TOMBSTONE, VALUE
from kvs.log.segment import Segment
from kvs.log.walk import records

logger = logging.getLogger(__name__)

BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Weight:
    """What a plan needs to know of a segment: the bytes of its live records and of its dead ones."""

    live_bytes: int
    dead_bytes: int


def plan(weights: Sequence[Weight], segment_bytes: int) -> list[slice]:
    """Choose runs of neighbours to merge, oldest first, so that what is live in each fits one segment.

    A run is worth merging if something in it is dead, or if it makes one file of several. A segment that is at least
    half full and has nothing dead in it stays as it is.

    >>> plan([Weight(10, 5), Weight(20, 0), Weight(60, 0), Weight(1, 0)], segment_bytes=100)
    [slice(0, 2, None)]
    """
    runs: list[slice] = []
    start, live_bytes = 0, 0
    for index, weight in enumerate(weights):
        is_fine = weight.dead_bytes == 0 and weight.live_bytes * 2 >= segment_bytes
        if is_fine or live_bytes + weight.live_bytes > segment_bytes:
            runs.append(slice(start, index))
            start, live_bytes = index + is_fine, 0
        if not is_fine:
            live_bytes += weight.live_bytes
    runs.append(slice(start, len(weights)))
    return [run for run in runs if run.stop - run.start > 1 or any(weight.dead_bytes for weight in weights[run])]


@dataclass(slots=True)
class Merge:
    """One merge under way: first `write`, off to the side, then `commit`.

    Args:
        disk: the store's directory.
        run: the segments to merge, neighbours, sealed, in the order of history.
        slot: the new segment's.
        keeps_tombstones: whether an older segment may hold what they remove.
    """

    disk: Disk
    run: Sequence[Segment]
    slot: int
    keeps_tombstones: bool
    keys: list[bytes] = field(default_factory=list)  # of the values written, in their order
    old: list[int] = field(default_factory=list)  # where they were
    new: list[int] = field(default_factory=list)  # and where they are
    removed: set[bytes] = field(default_factory=set)  # the tombstones written
    sequence: int = 0  # of the seal

    @property
    def name(self) -> SegmentName:
        """The new segment's name: the last one's number, one generation on."""
        last = self.run[-1].name
        return SegmentName(last.id, last.generation + 1)

    def write(self, keydir: Keydir, progress: Progress | None = None) -> None:
        """Write the merged segment under its temporary name, durably. What exists stays as it is.

        Raises:
            CorruptRecordError: rot in a segment of the run; nothing was changed.
            StorageError: the disk is full, or the system refused.
        """
        chunks = _in_chunks(self._encode(keydir, progress or (lambda _done, _total: None)))
        try:
            self.disk.write(self.name.temporary, chunks, sync=True)
        except BaseException:
            if self.name.temporary in self.disk.list():
                self.disk.unlink(self.name.temporary)
            raise

    def _encode(self, keydir: Keydir, progress: Progress) -> Iterator[bytes]:
        head = SegmentHeader(*self.name, self.run[0].head.first_id, self.disk.random_salt())
        yield header.encode(head)
        offset, seed = header.SIZE_BYTES, head.seed
        done, total = 0, sum(segment.end for segment in self.run)
        for segment in self.run:
            for at, found in records(segment):
                self.sequence = found.sequence
                location = pack(segment.slot, at, found.size_bytes)
                is_live = found.kind == VALUE and keydir.entries.get(found.key) == location
                if is_live or (found.kind == TOMBSTONE and self._is_needed(found.key, keydir)):
                    data = record.encode(found.kind, found.key, found.value, found.sequence, 0, seed ^ offset)
                    if is_live:
                        self.keys.append(found.key)
                        self.old.append(location)
                        self.new.append(pack(self.slot, offset, len(data)))
                    offset += len(data)
                    yield data
                progress(done + at + found.size_bytes, total)
            done += segment.end
        yield record.encode(record.SEAL, b"", b"", self.sequence, offset, seed ^ offset)

    def _is_needed(self, key: bytes, keydir: Keydir) -> bool:
        """Tell whether a tombstone must be kept; one for each key is enough."""
        if not self.keeps_tombstones or key in keydir.entries or key in self.removed:
            return False
        self.removed.add(key)
        return True

    def commit(self, keydir: Keydir) -> Segment:
        """Make the merge count, and return the new segment. The active segment was synced since `write` ended.

        The caller lets no reader follow an old location once this returns, then calls `retire`.

        Raises:
            StorageError: the system refused; the merge counts, or does not, but nothing is lost.
        """
        self.disk.rename(self.name.temporary, self.name.data)
        self.disk.sync_dir()
        merged = Segment.open(self.disk, self.name, self.slot)
        merged.end = merged.durable = merged.sealed = len(merged.memory)
        merged.seal_bytes = record.ENVELOPE_BYTES
        merged.removed = self.removed
        for segment in self.run:
            keydir.forget(segment.slot)
        keydir.bury(merged.slot, merged.record_bytes - sum(map(SIZE_MASK.__and__, self.new)))
        keydir.move(zip(self.keys, self.old, self.new, strict=True))
        merged.sequence = self.sequence
        write_hint(merged, dict(zip(self.keys, self.new, strict=True)))
        return merged

    def retire(self) -> None:
        """Unlink the segments that were merged, with their hints."""
        names = self.disk.list()
        for segment in self.run:
            segment.file.close()
            self.disk.unlink(segment.name.data)
            if segment.name.hint in names:
                self.disk.unlink(segment.name.hint)
        self.disk.sync_dir()


def write_hint(segment: Segment, entries: dict[bytes, int]) -> None:
    """Write the hint file of a sealed segment.

    Only of a sealed one, and before any newer record that is not durable yet enters the index: what a hint says, or
    leaves out because of a newer record, a power failure must not be able to take.

    Args:
        segment: sealed, and durable.
        entries: the keys whose newest value is in the segment, with its location.
    """
    removed = [key for key in segment.removed if key not in entries]
    said = hint.Hint(
        segment.end, segment.seal_bytes, segment.sequence, [*entries], hint.places(entries.values()), removed
    )
    try:
        segment.disk.write(segment.name.hint, hint.encode(said, segment.seed), sync=False)
    except StorageError as error:
        logger.warning("no hint file: %s", error)  # it only makes the next opening slower
    else:
        segment.hinted = segment.end


def _in_chunks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Gather small parts into chunks that are worth a system call."""
    chunk = bytearray()
    for part in parts:
        chunk += part
        if len(chunk) >= BUFFER_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
