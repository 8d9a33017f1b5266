"""LogEngine: the log-structured store. Puts the room together, and owns the directory.

    set:  append a record to the active segment, then point the key at it
    get:  follow the key to its record, check it, return the value

Invariants:
    1. The log is changed first, the index after: a key never points at bytes that are not there.
    2. In mode "always" a write is durable before it is acknowledged, and before anybody can read it.
    3. What kvs.log.writer promises of the log's end, and kvs.log.compactor of its size.

Threads: one big lock guards everything, reads included, and a compaction holds it from end to end: the plain form, as
the first such stores had it. Writers in mode "always" share their fsync: whoever gets the lock writes for all who wait.
"""

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from struct import Struct
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
    KeyNotFoundError,
    StorageError,
    StoreClosedError,
    StoreMissingError,
)
from kvs.keyorder import KeyOrder, select_range
from kvs.log import files, marker
from kvs.log.backup import BackupReport, Source, copy
from kvs.log.compactor import Compactor
from kvs.log.disk import Disk, OsDisk
from kvs.log.keydir import OFFSET_MASK, SIZE_BITS, SIZE_MASK, SLOT_SHIFT
from kvs.log.options import DEFAULTS, LogOptions, SyncMode
from kvs.log.record import (
    CHECKSUM_BYTES,
    ENVELOPE_BYTES,
    HEADER,
    HEADER_BYTES,
    RESIDUE,
    VALUE,
)
from kvs.log.recovery import recover
from kvs.log.segment import Segment
from kvs.log.stats import LogStats
from kvs.log.ticker import Ticker
from kvs.log.turns import Ticket, Turns
from kvs.log.writer import Writer

logger = logging.getLogger(__name__)

T = TypeVar("T")

_pack_header = HEADER.pack
_pack_checksum = Struct("<I").pack

SCAN_CHUNK: Final = 256
"""Keys read under one hold of the lock by a scan: enough to make the lock cheap, few enough to let others in."""


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
        # `_lock` guards every field below, what they refer to, and the files. Who only reads values and does not
        # change a thing holds `_read_lock`, which here is the same.
        self._lock, self._read_lock = self._make_locks()
        self._is_closed = False
        self._ticker: Ticker | None = None
        self._order = KeyOrder()
        self._own(flag)
        try:
            if flag == "n":
                self._erase()
            recovered = recover(disk, writable=flag != "r")
            if flag in "cn" and files.ENGINE not in disk.list():
                marker.write(disk)
        except BaseException:
            self._dir_lock.release()
            raise
        self._recovery = recovered.facts
        self._keydir = recovered.keydir
        self._entries = recovered.keydir.entries
        self._writer = Writer(disk, options, recovered)
        self._views = self._writer.views
        self._compactor = self._make_compactor()
        self._turns = Turns(self._writer)
        if flag == "r":
            self._writer.refuse("it was opened to read only")

    # What an engine on this log that has other locks makes differently.

    def _make_locks(self) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """Return what who changes something holds, and what who reads does: one big lock, for both."""
        lock = threading.Lock()
        return lock, lock

    def _make_compactor(self) -> Compactor:
        """Return what compacts, under the lock."""
        return Compactor(self._writer, self._options)

    # Owning the directory.

    def _own(self, flag: str) -> None:
        """Become the directory's owner, or a reader; make the store where the flag says so."""
        disk, is_reader = self._disk, flag == "r"
        if flag in "cn" and not disk.exists():
            disk.make()
        try:
            is_there = marker.check(disk, disk.list())  # before the lock: nothing of another engine's is touched
        except StoreMissingError:
            is_there = False
        if not is_there and flag in "rw":
            raise StoreMissingError(f"there is no store in {disk.path}")
        self._dir_lock = disk.lock(exclusive=not is_reader, in_child=self._become_child)

    def _erase(self) -> None:
        """Take away the store that was here."""
        for name in sorted(files.ours(self._disk.list()), key=files.age, reverse=True):
            self._disk.unlink(name)  # newest first: should we be interrupted, what is left is how it once was
        self._disk.sync_dir()

    def _become_child(self) -> None:
        """In a forked child: keep reading, but own nothing, and wait for no lock of a thread that is not here."""
        self._lock, self._read_lock = self._make_locks()
        self._ticker = None
        self._order = KeyOrder()  # the old one may be half brought up to date
        self._writer.finish_publishing()
        self._writer.refuse("this process is a fork of its owner; open the store anew")

    # Reading.

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
        with self._read_lock:
            try:
                location = self._entries[key]
            except KeyError:
                self._check_open()
                return default
            memory, seed = self._views[location >> SLOT_SHIFT]
            offset = location >> SIZE_BITS & OFFSET_MASK
            data = memory[offset : offset + (location & SIZE_MASK)]
            if crc32(data, seed ^ offset) != RESIDUE:
                raise self._writer.by_slot[location >> SLOT_SHIFT].rot_at(offset)
        return data[HEADER_BYTES + len(key) : -CHECKSUM_BYTES]

    def __len__(self) -> int:
        with self._read_lock:
            self._check_open()
            return len(self._entries)

    def __contains__(self, key: object) -> bool:
        with self._read_lock:
            self._check_open()
            return key in self._entries

    def __iter__(self) -> Iterator[bytes]:
        with self._read_lock:
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
        chosen = select_range(self._keys_in_order(), start, stop, prefix=prefix, limit=limit, reverse=reverse)
        return self._walk(chosen)

    def _keys_in_order(self) -> list[bytes]:
        """Return the sorted keys of this moment; the list is not to be changed."""
        with self._lock:  # though it only reads: the order is brought up to date
            self._check_open()
            return self._order.keys(self._entries, self._keydir.removals)

    def _walk(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield these keys with their values, some at a time."""
        for first in range(0, len(keys), SCAN_CHUNK):
            yield from self._read_some(keys[first : first + SCAN_CHUNK])

    def _read_some(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        """Return those of these keys that are there, with their values.

        One straight loop, and one hold of the lock: through `get` it takes 1.7 times as long.
        """
        pairs = []
        with self._read_lock:
            self._check_open()
            entries, views = self._entries, self._views
            for key in keys:
                location = entries.get(key)
                if location is not None:
                    memory, seed = views[location >> SLOT_SHIFT]
                    offset = location >> SIZE_BITS & OFFSET_MASK
                    data = memory[offset : offset + (location & SIZE_MASK)]
                    if crc32(data, seed ^ offset) != RESIDUE:
                        raise self._writer.by_slot[location >> SLOT_SHIFT].rot_at(offset)
                    pairs.append((key, data[HEADER_BYTES + len(key) : -CHECKSUM_BYTES]))
        return pairs

    # Writing.

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
                self._write({key: value})
                return
        with self._lock:
            writer = self._writer
            active = writer.active
            if active is None or active.end + size > active.room:
                active = self._make_room(size)
            offset = active.end
            writer.sequence = sequence = writer.sequence + 1
            body = _pack_header(VALUE, 0, len(key), len(value), sequence, active.durable) + key + value
            active.memory[offset : offset + size] = body + _pack_checksum(crc32(body, active.seed ^ offset))
            active.end = offset + size
            entries = self._entries
            old = entries.get(key)
            entries[key] = active.base | offset << SIZE_BITS | size
            if old is not None:
                self._keydir.bury(old >> SLOT_SHIFT, old & SIZE_MASK)
                if self._keydir.dead_bytes >= self._compactor.look_at:
                    self._compactor.run_if_due()

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
                self._writer.check_writable()
            return
        self._write(batch)

    def _write(self, batch: dict[bytes, bytes | None], must_exist: bytes | None = None) -> None:
        """Apply a batch: at once, or in mode "always" together with all who wait to write."""
        if self._is_always:
            self._check_open()
            self._turns.wait(Ticket(batch, must_exist), self._lock)
            with self._lock:
                self._compactor.run_if_due()
            return
        with self._lock:
            if must_exist is not None and must_exist not in self._entries:
                self._writer.check_writable()
                raise KeyNotFoundError(must_exist)
            written = self._writer.append(batch)
            self._writer.write_due_hint()
            self._writer.publish(written)
            self._start_ticker()
            self._compactor.run_if_due()

    def _make_room(self, size_bytes: int) -> Segment:
        """Return the active segment with room for so many bytes, and see to what is due when it is another one.

        Raises:
            StoreClosedError, WritesRefusedError, StorageError: as Writer.make_room.
        """
        active = self._writer.make_room(size_bytes)
        self._writer.write_due_hint()
        self._start_ticker()
        return active

    def _start_ticker(self) -> None:
        """In mode "interval", begin to sync now and then; a store that is only read needs no thread for that."""
        if self._ticker is None and self._options.sync == "interval":
            self._ticker = Ticker(self._sync_now_and_then, self._options.sync_interval_s)

    def _sync_now_and_then(self) -> None:
        """What the ticker calls in mode "interval"."""
        with self._lock:
            try:
                self._writer.sync()
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
            self._writer.sync()

    # The whole.

    def compact(self, progress: Progress | None = None) -> None:
        """Merge what has dead records in it, so that nothing dead is left. The world stops meanwhile.

        Args:
            progress: called with the bytes read so far, and the bytes to read in all.

        Raises:
            CorruptRecordError: rot; nothing was changed.
            WritesRefusedError, StorageError: as set; nothing is lost.
        """
        with self._lock:
            self._writer.check_writable()
            self._compactor.run(progress or (lambda _done, _total: None))

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
            if self._writer.is_writable:
                self._writer.seal()
                self._writer.write_due_hint()
            pieces = [Source(each.name, each.memory, each.end) for each in self._writer.segments]
        return copy(pieces, OsDisk(dest), progress)

    def stats(self) -> LogStats:
        """Return the engine's figures of this moment."""
        with self._lock:
            self._check_open()
            segments, dead_bytes = self._writer.segments, self._keydir.dead_bytes
            return LogStats(
                engine=self.name,
                keys=len(self._entries),
                live_bytes=sum(each.record_bytes for each in segments) - dead_bytes,
                dead_bytes=dead_bytes,
                disk_bytes=sum(len(each.memory) for each in segments),
                segments=len(segments),
                sequence=self._writer.sequence,
                merges=self._compactor.merges,
                unsynced_bytes=self._writer.unsynced_bytes,
                last_sync=self._writer.last_sync,
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
                self._writer.close()
            finally:
                self._entries, self._views = {}, {}
                self._dir_lock.release()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreClosedError

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{len(self._entries):,} keys"
        return f"<{type(self).__name__} {self._disk.path!r}, {state}>"
