"""LogEngine: the log-structured store. Puts the room together, and owns the directory.

    set:  append a record to the active segment, then point the key at it
    get:  follow the key to its record, check it, return the value

Invariants:
    1. The log is changed first, the index after: a key never points at bytes that are not there.
    2. In mode "always" a write is durable before it is acknowledged, and before anybody can read it.
    3. A new segment is begun only when the one before is sealed and durable. So whatever the mode, what a power
       failure leaves is a prefix of history.
    4. After a failed fsync nothing is written any more: the kernel may have dropped the pages, and a second fsync
       would call that a success.

Threads: one big lock guards everything, reads included, and a compaction holds it from end to end: the plain form, as
the first such stores had it. Writers in mode "always" share their fsync: whoever gets the lock writes for all who wait.
"""

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final, Self, TypeVar, overload
from zlib import crc32

from kvs.engine import (
    MAX_KEY_BYTES,
    Engine,
    Op,
    Progress,
    check_batch,
    check_key,
    check_type,
    check_value,
)
from kvs.errors import (
    InvalidValueError,
    KeyNotFoundError,
    KvsError,
    StorageError,
    StoreClosedError,
    StoreMissingError,
    WritesRefusedError,
)
from kvs.keyorder import KeyOrder, select_range
from kvs.log import files, marker
from kvs.log.backup import BackupReport, Source, copy
from kvs.log.compaction import Merge, Weight, plan, write_hint
from kvs.log.disk import Disk, OsDisk
from kvs.log.files import SegmentName
from kvs.log.keydir import OFFSET_MASK, SIZE_BITS, SIZE_MASK, SLOT_SHIFT
from kvs.log.options import DEFAULTS, LogOptions, SyncMode
from kvs.log.record import (
    CHECKSUM_BYTES,
    ENVELOPE_BYTES,
    HEADER,
    HEADER_BYTES,
    MORE,
    RESIDUE,
    TOMBSTONE,
    VALUE,
)
from kvs.log.recovery import recover
from kvs.log.segment import FIRST_ROOM_BYTES, Segment
from kvs.log.stats import LogStats
from kvs.log.ticker import Ticker

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BATCH_BYTES: Final = 1 << 30
SCAN_CHUNK: Final = 256
"""Keys read under one hold of the lock by a scan: enough to make the lock cheap, few enough to let others in."""
HINT_WORTH_BYTES: Final = 64 * 1024
"""Below this, replaying a segment is as fast as opening its hint."""


_UNFINISHED: Final = StorageError("interrupted before the write was known to be durable; it may or may not be there")


class _Ticket:
    """A write that waits for its turn in mode "always".

    Args:
        batch: what to write.
        must_exist: a key that has to be there, for `remove`.
    """

    __slots__ = ("batch", "error", "is_done", "must_exist")

    def __init__(self, batch: dict[bytes, bytes | None], must_exist: bytes | None) -> None:
        self.batch = batch
        self.must_exist = must_exist
        self.is_done = False
        self.error: KvsError | None = _UNFINISHED


def _progress_of_part(progress: Progress, before: int, total: int, done: int, _total_of_part: int) -> None:
    """Tell of one part's progress as of the whole's."""
    progress(before + done, total)


class _Written:
    """Records that are in the log and not in the index yet."""

    __slots__ = ("tombstones", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, int] = {}
        self.tombstones: dict[bytes, int] = {}


class LogEngine(Engine):
    """A key-value store on an append-only log. Make one with `LogEngine.open`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with LogEngine.open(directory) as store:
    ...         store[b"snowman"] = "☃".encode()
    ...     with LogEngine.open(directory, flag="r") as store:
    ...         store[b"snowman"].decode()
    '☃'
    """

    name = "log"

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        flag: str = "c",
        sync: SyncMode = DEFAULTS.sync,
        sync_interval_s: float = DEFAULTS.sync_interval_s,
        segment_bytes: int = DEFAULTS.segment_bytes,
        compact_dead_bytes: int = DEFAULTS.compact_dead_bytes,
        compact_dead_ratio: float = DEFAULTS.compact_dead_ratio,
    ) -> Self:
        """Open the store in a directory.

        Args:
            path: the directory.
            flag: as for `dbm.open`: "r" read only, "w" read and write, "c" the same and create it if missing, "n"
                always begin anew. Several may read at once, while nobody writes.
            sync: "always", "interval" or "none"; for this and the rest see LogOptions.
            sync_interval_s: seconds.
            segment_bytes: where a segment ends.
            compact_dead_bytes: how much must be dead for a compaction,
            compact_dead_ratio: and which part of all.

        Raises:
            ValueError: an option outside its range.
            StoreMissingError: nothing there, and the flag is "r" or "w".
            StoreLockedError: somebody else has it open.
            WrongEngineError, UnsupportedFormatError: it is not of this engine, or of a later version.
            CorruptRecordError: rot; `kvs check` tells more, `kvs repair` salvages.
            StorageError: the system refused.
        """
        options = LogOptions(sync, sync_interval_s, segment_bytes, compact_dead_bytes, compact_dead_ratio)
        return cls(OsDisk(path), options, flag=flag)

    def __init__(self, disk: Disk, options: LogOptions = DEFAULTS, *, flag: str = "c") -> None:
        """Open the store on a disk of any kind; `open` is this on a directory of the operating system."""
        if flag not in {"r", "w", "c", "n"}:
            raise ValueError(f"flag is one of r, w, c, n, not {flag!r}")
        self._disk = disk
        self._options = options
        self._is_always = options.sync == "always"
        self._lock = threading.Lock()  # guards every field below, and the files
        self._waiting: deque[_Ticket] = deque()  # appended to without the lock: a deque's append is atomic
        self._is_closed = False
        self._refusal: str | None = "it was opened to read only" if flag == "r" else None
        self._ticker: Ticker | None = None
        self._merges = 0
        self._last_sync: float | None = None
        self._order = KeyOrder()
        self._own(flag)
        try:
            recovered = recover(disk, writable=flag != "r")
            if flag in "cn" and files.ENGINE not in disk.list():
                marker.write(disk)
        except BaseException:
            self._release()
            raise
        self._recovery = recovered.facts
        self._sequence = recovered.sequence
        self._segments = recovered.segments  # in the order of history
        self._by_slot = {segment.slot: segment for segment in self._segments}
        self._next_slot = max(self._by_slot, default=-1) + 1
        self._keydir = recovered.keydir
        self._entries = recovered.keydir.entries
        self._to_hint: Segment | None = None  # sealed, and its hint not written yet
        self._active: Segment | None = None  # where writes go; None when the next one must first ask for room
        self._compact_at = options.compact_dead_bytes  # so many dead bytes, and it is worth looking at the ratio

    def _own(self, flag: str) -> None:
        """Become the directory's owner, or a reader; make the store where the flag says so."""
        disk, is_reader = self._disk, flag == "r"
        self._dir_lock = None
        if flag in "cn" and not disk.exists():
            disk.make()
        is_there = marker.check(disk, disk.list())  # before the lock: nothing of another engine's is touched
        if not is_there and flag in "rw":
            raise StoreMissingError(f"there is no store in {disk.path}")
        self._dir_lock = disk.lock(exclusive=not is_reader, in_child=self._become_child)
        try:
            if flag == "n":
                self._erase()
        except BaseException:
            self._release()
            raise

    def _erase(self) -> None:
        """Take away the store that was here."""
        for name in sorted(files.ours(self._disk.list()), key=files.age, reverse=True):
            self._disk.unlink(name)  # newest first: should we be interrupted, what is left is how it once was
        self._disk.sync_dir()

    def _release(self) -> None:
        if self._dir_lock is not None:
            self._dir_lock.release()

    def _become_child(self) -> None:
        """In a forked child: keep reading, but own nothing, and wait for no lock of a thread that is not here."""
        self._lock = threading.Lock()
        self._ticker = None
        self._dir_lock = None
        self._refuse("this process is a fork of its owner; open the store anew")

    # ------------------------------------------------------------------------------------------ reading

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value stored under `key`, or `default` when there is none.

        One straight function: reading through a method of Segment and keydir.unpack takes 1.4 times as long.

        Raises:
            CorruptRecordError: the record is not what was written.
        """
        if type(key) is not bytes:
            check_type(key)
        with self._lock:
            location = self._entries.get(key)
            if location is None:
                self._check_open()
                return default
            segment = self._by_slot[location >> SLOT_SHIFT]
            offset = location >> SIZE_BITS & OFFSET_MASK
            data = segment.memory[offset : offset + (location & SIZE_MASK)]
            if crc32(data, segment.seed ^ offset) != RESIDUE:
                raise segment.rot_at(offset)
        return data[HEADER_BYTES + len(key) : -CHECKSUM_BYTES]

    def __len__(self) -> int:
        with self._lock:
            self._check_open()
            return len(self._entries)

    def __contains__(self, key: object) -> bool:
        with self._lock:
            self._check_open()
            return key in self._entries

    def __iter__(self) -> Iterator[bytes]:
        with self._lock:
            self._check_open()
            return iter([*self._entries])

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values in key order; see Engine.scan.

        Cost: the first scan sorts the keys, later ones merge in what is new; point writes pay nothing for it.
        """
        with self._lock:
            self._check_open()
            keys = self._order.keys(self._entries, self._keydir.removals)
        chosen = select_range(keys, start, stop, prefix=prefix, limit=limit, reverse=reverse)
        return self._read_in_order(chosen)

    def _read_in_order(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for first in range(0, len(keys), SCAN_CHUNK):
            pairs = []
            with self._lock:
                self._check_open()
                entries, by_slot = self._entries, self._by_slot
                for key in keys[first : first + SCAN_CHUNK]:
                    location = entries.get(key)
                    if location is not None:
                        segment = by_slot[location >> SLOT_SHIFT]
                        offset = location >> SIZE_BITS & OFFSET_MASK
                        data = segment.memory[offset : offset + (location & SIZE_MASK)]
                        if crc32(data, segment.seed ^ offset) != RESIDUE:
                            raise segment.rot_at(offset)
                        pairs.append((key, data[HEADER_BYTES + len(key) : -CHECKSUM_BYTES]))
            yield from pairs

    # ------------------------------------------------------------------------------------------ writing

    def set(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there.

        One straight function: through a batch of one it takes 2.5 times as long.

        Raises:
            TypeError, InvalidKeyError, InvalidValueError: as Engine.set.
            WritesRefusedError: this handle may not write (any more).
            StorageError: the disk is full; nothing was changed. Or, in mode "always", the fsync failed.
        """
        if type(key) is not bytes or type(value) is not bytes:
            check_key(key)
            check_value(value)
        size = ENVELOPE_BYTES + len(key) + len(value)
        if size > MAX_KEY_BYTES or self._is_always:
            check_key(key)
            check_value(value)
            if self._is_always:
                self._wait_turn({key: value})
                return
        with self._lock:
            active = self._active
            if active is None or active.end + size > active.room:
                active = self._make_room(size)
                self._write_due_hint()
            offset = active.end
            self._sequence += 1
            body = HEADER.pack(VALUE, 0, len(key), len(value), self._sequence, active.durable) + key + value
            active.memory[offset : offset + size] = body + crc32(body, active.seed ^ offset).to_bytes(4, "little")
            active.end = offset + size
            old = self._entries.get(key)
            self._entries[key] = active.base | offset << SIZE_BITS | size
            if old is not None:
                self._keydir.bury(old >> SLOT_SHIFT, old & SIZE_MASK)
                if self._keydir.dead_bytes >= self._compact_at:
                    self._compact_if_due()

    def remove(self, key: bytes) -> None:
        """Remove `key`; KeyNotFoundError when it is not there."""
        self._write({check_key(key): None}, must_exist=key)

    def write(self, ops: Iterable[Op]) -> None:
        """Apply several sets and removes as one.

        Raises:
            TypeError, InvalidKeyError, InvalidValueError: as Engine.set; also when all together go beyond
                MAX_BATCH_BYTES.
            WritesRefusedError, StorageError: as set; of the batch nothing was applied.
        """
        batch = check_batch(ops)
        if not batch:
            with self._lock:
                self._check_writable()
            return
        self._write(batch)

    def _write(self, batch: dict[bytes, bytes | None], must_exist: bytes | None = None) -> None:
        """Apply a batch at once, or take a turn for it in mode "always"."""
        if self._is_always:
            self._wait_turn(batch, must_exist)
            return
        with self._lock:
            if must_exist is not None and must_exist not in self._entries:
                self._check_writable()
                raise KeyNotFoundError(must_exist)
            written = self._append(batch)
            self._write_due_hint()
            self._publish(written)
            self._compact_if_due()

    def _wait_turn(self, batch: dict[bytes, bytes | None], must_exist: bytes | None = None) -> None:
        """Write durably, together with all who wait for the same.

        1. Each writer puts its ticket into the queue, then waits for the lock.
        2. Who gets it finds its ticket done by another, or does all tickets of the queue with one fsync.
        3. So while one fsync runs, the next one's writers gather.
        """
        ticket = _Ticket(batch, must_exist)
        self._waiting.append(ticket)
        try:
            with self._lock:
                if not ticket.is_done:
                    self._serve_waiting()
        except BaseException:
            with contextlib.suppress(ValueError):
                self._waiting.remove(ticket)  # or it would be written when nobody expects it any more
            raise
        if ticket.error is not None:
            raise ticket.error

    def _serve_waiting(self) -> None:
        """Append every waiting write, sync once, then let them be read."""
        tickets = self._take_waiting()
        try:
            written = self._append_all(tickets)
            self._sync()
            for ticket, records in written:
                self._publish(records)
                ticket.error = None
        except StorageError as error:
            for ticket in tickets:
                ticket.error = ticket.error if ticket.error is not _UNFINISHED else error
        except BaseException:
            self._to_hint = None  # it would leave out what did not get into the index
            raise
        finally:  # also when Ctrl-C comes between: nobody may take silence for an acknowledgement
            for ticket in tickets:
                ticket.is_done = True
        # Only now: to a hint and to a merge, a record that is not in the index yet is dead.
        self._write_due_hint()
        self._compact_if_due()

    def _take_waiting(self) -> list[_Ticket]:
        """Empty the queue; a writer stopped by Ctrl-C may be taking its own ticket out at the same time."""
        tickets: list[_Ticket] = []
        while True:
            try:
                tickets.append(self._waiting.popleft())
            except IndexError:
                return tickets

    def _append_all(self, tickets: list[_Ticket]) -> list[tuple[_Ticket, _Written]]:
        """Put the writes of all tickets into the log; a ticket that cannot be written gets its own error."""
        written: list[tuple[_Ticket, _Written]] = []
        present: dict[bytes, bool] = {}  # what the tickets before change, ahead of the index
        for ticket in tickets:
            key = ticket.must_exist
            try:
                if key is not None and not present.get(key, key in self._entries):
                    self._check_writable()
                    raise KeyNotFoundError(key)  # for the ticket's own thread
                written.append((ticket, self._append(ticket.batch)))
            except KvsError as error:
                ticket.error = error
            else:
                present.update((key, value is not None) for key, value in ticket.batch.items())
        return written

    def _append(self, batch: dict[bytes, bytes | None]) -> _Written:
        """Put a batch into the log as one run of records, each but the last saying that more follow."""
        size = ENVELOPE_BYTES * len(batch) + sum(map(len, batch)) + sum(map(len, filter(None, batch.values())))
        if size > MAX_BATCH_BYTES:
            raise InvalidValueError(f"a batch has at most {MAX_BATCH_BYTES:,} bytes, this one has {size:,}")
        active = self._active
        if active is None or active.end + size > active.room:
            active = self._make_room(size)
        written = _Written()
        sequence, seed, durable, offset = self._sequence, active.seed, active.durable, active.end
        encoded = bytearray()
        left = len(batch)
        for key, value in batch.items():
            left -= 1
            sequence += 1
            flags = MORE if left else 0
            if value is None:
                body = HEADER.pack(TOMBSTONE, flags, len(key), 0, sequence, durable) + key
            else:
                body = HEADER.pack(VALUE, flags, len(key), len(value), sequence, durable) + key + value
            size = len(body) + CHECKSUM_BYTES
            place = written.tombstones if value is None else written.values
            place[key] = active.base | offset << SIZE_BITS | size
            encoded += body
            encoded += crc32(body, seed ^ offset).to_bytes(CHECKSUM_BYTES, "little")
            offset += size
        active.append(bytes(encoded))
        self._sequence = sequence
        return written

    def _publish(self, written: _Written) -> None:
        """Let the index say what the log says, all of it, also when Ctrl-C comes between the steps."""
        try:
            self._point_at(written)
        except BaseException:
            self._point_at(written)  # what it counts twice as dead, the next compaction counts anew
            raise

    def _point_at(self, written: _Written) -> None:
        """Point the keys of a write at their records."""
        keydir, entries = self._keydir, self._entries
        for key in entries.keys() & written.values.keys():
            old = entries[key]
            keydir.bury(old >> SLOT_SHIFT, old & SIZE_MASK)
        entries.update(written.values)
        for key, location in written.tombstones.items():
            keydir.remove(key, location)
            self._by_slot[location >> SLOT_SHIFT].removed.add(key)

    # ------------------------------------------------------------------------------------------ segments

    def _make_room(self, size_bytes: int) -> Segment:
        """Return the active segment with room for so many bytes; seal it and begin the next where it is full.

        Raises:
            StoreClosedError, WritesRefusedError: there is no writing here.
            StorageError: the disk is full; nothing was changed.
        """
        self._check_writable()
        last = self._segments[-1] if self._segments else None
        if last is None or last.is_merged:
            active = self._begin_segment()
        elif last.end + size_bytes > self._options.segment_bytes and last.record_bytes:
            self._seal(last)
            active = self._begin_segment()
        else:
            active = last
        active.reserve(size_bytes, self._options.segment_bytes)
        self._active = active
        if self._ticker is None and self._options.sync == "interval":
            self._ticker = Ticker(self._sync_now_and_then, self._options.sync_interval_s)
        return active

    def _begin_segment(self) -> Segment:
        last_id = self._segments[-1].name.id if self._segments else 0
        segment = Segment.create(self._disk, SegmentName(last_id + 1, 0), self._next_slot)
        try:
            segment.settle()
        except StorageError as error:
            self._refuse(str(error))
            raise
        self._next_slot += 1
        self._segments.append(segment)
        self._by_slot[segment.slot] = segment
        return segment

    def _seal(self, segment: Segment) -> None:
        """Seal the last segment, unless nothing came since its last seal.

        Raises:
            StorageError: the disk is full; nothing was changed. Or an fsync failed; writes are refused from now on.
        """
        self._active = None
        if segment.end == segment.sealed:
            return
        segment.keep_room_for_seal()
        try:
            segment.seal(self._sequence)
        except StorageError as error:
            self._refuse(str(error))
            raise
        self._sequence = segment.sequence
        self._last_sync = self._disk.now()
        self._to_hint = segment

    def _write_due_hint(self) -> None:
        """Write the hint of a segment that was sealed just now, where that is worth it.

        When the index knows all that is in the segment, and nothing newer that is not durable; see write_hint.
        """
        segment, self._to_hint = self._to_hint, None
        if segment is not None and segment.end - segment.hinted > max(HINT_WORTH_BYTES, segment.end // 8):
            write_hint(segment, self._keydir.locations_in(segment.slot))

    def _sync(self) -> None:
        """Make all that is written durable.

        Raises:
            WritesRefusedError: an fsync failed before, and took the promise with it.
            StorageError: it fails now; from now on writes are refused.
        """
        if not self._unsynced_bytes():
            return
        self._check_writable()
        try:
            self._segments[-1].sync()
        except StorageError as error:
            self._refuse(str(error))
            raise
        self._last_sync = self._disk.now()

    def _sync_now_and_then(self) -> None:
        """What the ticker calls in mode "interval"."""
        with self._lock:
            try:
                self._sync()
            except StorageError:
                logger.exception("%s: writes are refused from now on", self._disk.path)

    def sync(self) -> None:
        """Return when every write so far is on the disk itself.

        Raises:
            WritesRefusedError: an fsync failed before, and took the promise with it.
            StorageError: it fails now; from now on writes are refused.
        """
        with self._lock:
            self._check_open()
            self._sync()

    def _unsynced_bytes(self) -> int:
        return self._segments[-1].end - self._segments[-1].durable if self._segments else 0

    # ------------------------------------------------------------------------------------------ compaction

    def compact(self, progress: Progress | None = None) -> None:
        """Merge what has dead records in it, so that nothing dead is left. The world stops meanwhile.

        Args:
            progress: called with the bytes read so far, and the bytes to read in all.

        Raises:
            CorruptRecordError: rot; nothing was changed.
            WritesRefusedError, StorageError: as set; nothing is lost.
        """
        with self._lock:
            self._check_writable()
            self._compact(progress or (lambda _done, _total: None))

    def _compact_if_due(self) -> None:
        """Compact when enough is dead; a failure is logged, for the write at hand is done and well."""
        dead_bytes = self._keydir.dead_bytes
        if dead_bytes < self._compact_at:
            return
        self._compact_at = self._due_at()
        if dead_bytes < self._compact_at:
            return
        try:
            self._compact(lambda _done, _total: None)
        except StorageError:
            logger.exception("%s: compaction failed; it is tried again when more is dead", self._disk.path)
            self._compact_at = dead_bytes + max(self._options.compact_dead_bytes, FIRST_ROOM_BYTES)

    def _due_at(self) -> int:
        """Return how many bytes must be dead for a compaction to be worth it, as things are."""
        total_bytes = sum(segment.end for segment in self._segments)
        return max(self._options.compact_dead_bytes, int(total_bytes * self._options.compact_dead_ratio))

    def _compact(self, progress: Progress) -> None:
        if self._segments:
            self._seal(self._segments[-1])
            self._write_due_hint()
        self._keydir.recount({each.slot: each.record_bytes for each in self._segments})
        dead = self._keydir.dead
        weights = [
            Weight(each.record_bytes - dead.get(each.slot, 0), dead.get(each.slot, 0)) for each in self._segments
        ]
        runs = plan(weights, self._options.segment_bytes)
        total_bytes = sum(each.end for run in runs for each in self._segments[run])
        done_bytes = 0
        for run in runs:
            # Each merge before has made one segment of several.
            start = run.start - (len(weights) - len(self._segments))
            chosen = self._segments[start : start + run.stop - run.start]
            self._merge(start, chosen, partial(_progress_of_part, progress, done_bytes, total_bytes))
            done_bytes += sum(each.end for each in chosen)
        self._compact_at = self._due_at()

    def _merge(self, start: int, run: list[Segment], progress: Progress) -> None:
        """Merge a run of segments; see kvs.log.compaction for the order and its reasons."""
        is_clean_before = not any(self._keydir.dead.get(older.slot) for older in self._segments[:start])
        merge = Merge(self._disk, run, self._next_slot, keeps_tombstones=not is_clean_before)
        self._next_slot += 1
        merge.write(self._keydir, progress)
        self._sync()
        try:
            merged = merge.commit(self._keydir)
        except StorageError as error:
            self._refuse(f"a compaction was not completed: {error}")
            raise
        self._segments[start : start + len(run)] = [merged]
        self._by_slot = {segment.slot: segment for segment in self._segments}
        self._merges += 1
        try:
            merge.retire()
        except StorageError:
            logger.exception("%s: a merged segment could not be removed; the next opening will", self._disk.path)

    # ------------------------------------------------------------------------------------------ the whole

    def backup(self, dest: str | os.PathLike[str], progress: Progress | None = None) -> BackupReport:
        """Copy the store as it is at this moment into an empty or new directory, while others go on with it.

        Args:
            dest: the directory; until the copy is complete, it does not pass for a store.
            progress: called with the bytes copied so far, and the bytes to copy in all.

        Raises:
            StorageError: there is a store in `dest` already, or the system refused.
        """
        with self._lock:
            self._check_open()
            if self._refusal is None and self._segments:
                self._seal(self._segments[-1])
                self._write_due_hint()
            pieces = [Source(each.name, each.memory, each.end) for each in self._segments]
        return copy(pieces, OsDisk(dest), progress)

    def stats(self) -> LogStats:
        """Return the engine's figures of this moment."""
        with self._lock:
            self._check_open()
            return LogStats(
                engine=self.name,
                keys=len(self._entries),
                live_bytes=sum(each.record_bytes for each in self._segments) - self._keydir.dead_bytes,
                dead_bytes=self._keydir.dead_bytes,
                disk_bytes=sum(len(each.memory) for each in self._segments),
                segments=len(self._segments),
                sequence=self._sequence,
                merges=self._merges,
                unsynced_bytes=self._unsynced_bytes(),
                last_sync=self._last_sync,
                recovery=self._recovery,
            )

    def close(self) -> None:
        """Seal the log, so that the next opening knows nothing is missing, and let go of the directory.

        Raises:
            StorageError: the last fsync failed. The store is closed all the same.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.stop()  # without the lock, for the ticker may be waiting for it
        with self._lock:
            try:
                self._seal_for_good()
            finally:
                self._active = None
                for each in self._segments:
                    each.file.close()
                self._entries = {}
                self._segments, self._by_slot = [], {}
                self._release()

    def _seal_for_good(self) -> None:
        """Seal the log at its closing; a disk too full for that is no loss, for all that was written is durable."""
        if self._refusal is not None or not self._segments:
            return
        try:
            self._seal(self._segments[-1])
        except StorageError as error:
            if self._refusal is not None:
                raise
            logger.warning("%s: closed without a seal: %s", self._disk.path, error)
        self._write_due_hint()

    def _refuse(self, reason: str) -> None:
        """From now on take no writes."""
        self._refusal = reason
        self._active = None  # so that the next write asks for room, and learns why not

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreClosedError

    def _check_writable(self) -> None:
        self._check_open()
        if self._refusal is not None:
            raise WritesRefusedError(f"{self._disk.path} takes no writes: {self._refusal}")

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{len(self._entries):,} keys"
        return f"<{type(self).__name__} {self._disk.path!r}, {state}>"
