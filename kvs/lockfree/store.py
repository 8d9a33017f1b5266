"""LockFreeEngine: the same log, read without any lock.

What a reader does, and why each step is safe whatever writers and compactions do meanwhile:

    1. It asks whether a batch is being published, and has the key; if so, that is the key's location.
       A batch appears in `writer.publishing` by one assignment, before any of it is in the index, and leaves after all
       of it is. So whoever has seen one of its changes sees all of them.
    2. Else it looks the key up in the index: one lookup in a dict, which a writer changes by one assignment.
       The record was written before the assignment. So a location that can be seen leads to bytes that are there.
    3. It looks the location's slot up: the segment's mapping and seed.
       A compaction shows the merged segment, then points the keys at it, and only then takes the old slots away. Is
       the slot gone, the key points elsewhere by now: back to step 1. Each such turn means that a compaction has
       finished meanwhile, so somebody always makes progress, and no slot is ever used again for another segment.
    4. It copies the bytes out of the mapping, which it holds.
       Bytes before a segment's end never change. A retired segment is unlinked, but its bytes stay until the last
       mapping is let go of, and the reader holds one: nobody has to ask whether a reader is inside.
    5. It checks the record against its checksum.
       So should any of this be wrong, or the disk, an error comes of it and never a wrong value.

On CPython with a GIL each lookup and assignment is one step of the interpreter. Without one, dict and attribute access
are atomic as well, and what one thread wrote before publishing is seen by who reads what it published. Reference counts
do what hazard pointers or epochs do elsewhere: a mapping cannot go while somebody is in it.

Invariants: those of LogEngine, and
    1. No read of a value waits for anything: neither for a writer, nor for an fsync, nor for a compaction.
    2. Reads are linearizable, key by key; a batch is seen whole.

Threads: one writer at a time, by the writers' lock; one compaction at a time, beside it, see BackgroundCompactor.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeVar, overload
from zlib import crc32

from kvs.engine import Progress, check_type
from kvs.errors import StorageError
from kvs.lockfree.background import BackgroundCompactor
from kvs.log.keydir import OFFSET_MASK, SIZE_BITS, SIZE_MASK, SLOT_SHIFT
from kvs.log.record import CHECKSUM_BYTES, HEADER_BYTES, RESIDUE
from kvs.log.store import LogEngine

T = TypeVar("T")

ORDER_PATIENCE_S: Final = 0.01
"""How long a scan waits for the writers' lock before it sorts all keys for itself."""


class LockFreeEngine(LogEngine):
    """A key-value store on an append-only log, whose readers never wait. Make one with `LockFreeEngine.open`.

    It shares its files with the engines "log" and "rwlock": each opens what the others wrote. Beside the reads it
    differs in that compactions run in the background, while readers and writers go on.
    """

    name = "lockfree"

    _compactor: BackgroundCompactor
    _farewell: "weakref.finalize[[], LockFreeEngine]"

    def _make_locks(self) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """Return the writers' lock, and nothing for readers to hold."""
        self._writers = threading.Lock()
        return self._writers, nullcontext()

    def _make_compactor(self) -> BackgroundCompactor:
        """Return what compacts, beside everybody else, and ends with this engine, should nobody close it."""
        compactor = BackgroundCompactor(self._writer, self._options, self._lock, self._dir_lock)
        self._farewell = weakref.finalize(self, compactor.abandon)
        self._farewell.atexit = False
        return compactor

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value stored under `key`, or `default` when there is none. Waits for nobody.

        One straight function, the steps of this module in it: a fifth faster than LogEngine's, for want of the lock.

        Raises:
            CorruptRecordError: the record is not what was written.
        """
        if type(key) is not bytes:
            check_type(key)
        writer = self._writer
        while True:
            try:
                batch = writer.publishing
                if batch is not None and key in batch:
                    location = batch[key]
                    if location is None:
                        return default
                else:
                    location = self._entries[key]
            except KeyError:
                if self._is_closed:
                    self._check_open()
                return default
            try:
                memory, seed = self._views[location >> SLOT_SHIFT]
            except KeyError:
                self._check_moved(key, location)
                continue  # merged away between two steps: the key points elsewhere by now
            offset = location >> SIZE_BITS & OFFSET_MASK
            data = memory[offset : offset + (location & SIZE_MASK)]
            if crc32(data, seed ^ offset) != RESIDUE:
                self._report_rot(location)
                continue
            return data[HEADER_BYTES + len(key) : -CHECKSUM_BYTES]

    def _check_moved(self, key: bytes, location: int) -> None:
        """See that a key does not point any more where no segment is: an error is better than a reader that spins."""
        if self._entries.get(key) == location and location >> SLOT_SHIFT not in self._views:
            raise StorageError(f"{self._disk.path}: the index points at a segment that is gone")

    def _report_rot(self, location: int) -> None:
        """Raise the error for a record that does not check out; unless its segment was merged away meanwhile.

        Then there is a newer copy, which the merge has checked.
        """
        segment = self._writer.by_slot.get(location >> SLOT_SHIFT)
        if segment is not None:
            raise segment.rot_at(location >> SIZE_BITS & OFFSET_MASK)

    def __contains__(self, key: object) -> bool:
        batch = self._writer.publishing
        if batch is not None and isinstance(key, bytes) and key in batch:
            return batch[key] is not None
        return key in self._entries or self._absent()

    def _absent(self) -> bool:
        """Return False, for a key that is not there; in a closed store nothing is, and that is an error."""
        self._check_open()
        return False

    def __len__(self) -> int:
        """Return how many keys there are. While a batch is being published, some of its keys may count and some not."""
        self._check_open()
        return len(self._entries)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys())

    def _keys(self) -> list[bytes]:
        """Return the keys of one moment: those of the index, and what a batch just being published makes of them.

        When a batch began or ended meanwhile, the copy may hold half of it, or what was written to its keys since: then
        once more. While it lasts, `publishing` says what becomes of its keys, whether or not the copy shows it yet.
        """
        writer = self._writer
        while True:
            self._check_open()
            batches, batch = writer.batches, writer.publishing
            keys = [*self._entries]  # one step of the interpreter; without a GIL, under the dict's own lock
            if writer.batches == batches and writer.publishing is batch:
                break
        if batch is None:
            return keys
        changed = [key for key, location in batch.items() if location is not None]
        return [key for key in keys if key not in batch] + changed

    def _keys_in_order(self) -> list[bytes]:
        """Return the sorted keys of this moment.

        The order that is kept up is the writers'. While one of them holds the lock for long, in an fsync, a reader
        does not wait for it, but sorts for itself.
        """
        if self._writers.acquire(timeout=ORDER_PATIENCE_S):
            try:
                self._check_open()
                return self._order.keys(self._entries, self._keydir.removals)
            finally:
                self._writers.release()
        return sorted(self._keys())

    def _read_some(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        """Return those of these keys that are there, with their values.

        One straight loop for what is usual; a key that is not found as usual goes through `get`.

        Whether a batch is being published is asked before the index is. The other way round:
            1. A batch of two keys is being published, and the first one's new value was found in it.
            2. The index still has the second one's old location.
            3. The batch is in the index now, and nothing is being published any more: the old value would be returned.
        """
        self._check_open()
        pairs = []
        entries, views, writer = self._entries, self._views, self._writer
        for key in keys:
            location = entries.get(key) if writer.publishing is None else None
            view = views.get(location >> SLOT_SHIFT) if location is not None else None
            if location is None or view is None:
                value = self.get(key)
                if value is not None:
                    pairs.append((key, value))
                continue
            memory, seed = view
            offset = location >> SIZE_BITS & OFFSET_MASK
            data = memory[offset : offset + (location & SIZE_MASK)]
            if crc32(data, seed ^ offset) != RESIDUE:
                self._report_rot(location)
                value = self.get(key)
                if value is not None:
                    pairs.append((key, value))
                continue
            pairs.append((key, data[HEADER_BYTES + len(key) : -CHECKSUM_BYTES]))
        return pairs

    # The whole.

    def compact(self, progress: Progress | None = None) -> None:
        """Merge what has dead records in it, so that nothing is left of what is dead now. Everybody else goes on.

        Args:
            progress: called with the bytes read so far, and the bytes to read in all.

        Raises:
            StoreClosedError: the store is closed, or was meanwhile.
            CorruptRecordError: rot; nothing was changed.
            WritesRefusedError, StorageError: as set; nothing is lost.
        """
        self._check_open()
        self._compactor.run(progress or (lambda _done, _total: None))

    def close(self) -> None:
        """Seal the log, so that the next opening knows nothing is missing, and let go of the directory.

        Of a compaction the merge at hand is finished. Reads under way are, too; those that begin now find the store
        closed.

        Raises:
            StorageError: the last fsync failed. The store is closed all the same.
        """
        self._compactor.stop()
        self._farewell.detach()
        super().close()

    def _become_child(self) -> None:
        """In a forked child: there is no compaction here, and nobody waits for one of a thread that is not here."""
        super()._become_child()
        self._farewell.detach()
        self._compactor = self._make_compactor()
