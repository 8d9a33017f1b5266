"""CrashDisk: a directory in memory behind the log's disk seam, which records every step that is taken.

Invariants:
    1. Replaying `steps` from the state it began with gives the state it has.
    2. A step that failed is not among them; a short write is, with the bytes that were taken.

Salts are counted, not drawn, so that the same workload makes the same bytes.
"""

from collections.abc import Callable, Iterable
from typing import Protocol
from zlib import crc32

from kvs.errors import StoreLockedError
from kvs.log.disk import Disk, File, Lock
from kvs.log.files import LOCK
from support.crash.state import DiskState, Inode, Step


class Fault(Protocol):
    """Somebody who may let a call fail."""

    def __call__(self, disk: "CrashDisk", call: str, name: str) -> None:
        """Do nothing, or raise a StorageError; called before the call has any effect."""


class CrashMemory:
    """A file's bytes, as mapped: a store is a step."""

    __slots__ = ("_disk", "_inode", "_number", "_size")

    def __init__(self, disk: "CrashDisk", number: int) -> None:
        self._disk = disk
        self._number = number
        self._inode: Inode = disk.state.inodes[number]
        self._size = len(self._inode.now)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(self._size)
        now = self._inode.now
        return now[start:stop] if isinstance(now, bytes) else bytes(now[start:stop])

    def __setitem__(self, where: slice, data: bytes) -> None:
        start, stop, _ = where.indices(self._size)
        assert stop - start == len(data), "a mapped file keeps its size"
        self._disk.step(("store", self._number, start, data))


class CrashFile:
    """An open file."""

    def __init__(self, disk: "CrashDisk", name: str, number: int) -> None:
        self._disk = disk
        self._name = name
        self._number = number
        self.memory = CrashMemory(disk, number)

    def grow(self, size_bytes: int) -> None:
        """Extend the file with zeros."""
        self._disk.call("grow", self._name)
        self._resize(size_bytes)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size."""
        self._disk.call("truncate", self._name)
        self._resize(size_bytes)

    def sync(self) -> None:
        """Make the file's bytes and size durable."""
        self._disk.call("sync", self._name)
        self._disk.step(("sync", self._number))

    def close(self) -> None:
        """Nothing to let go of."""

    def _resize(self, size_bytes: int) -> None:
        self._disk.step(("resize", self._number, size_bytes))
        self.memory = CrashMemory(self._disk, self._number)


class CrashLock:
    """Ownership of a directory, for as long as this disk object lives."""

    def __init__(self, disk: "CrashDisk", *, exclusive: bool) -> None:
        self._disk = disk
        self.exclusive = exclusive
        disk.locks.append(self)

    def release(self) -> None:
        """Give the directory up."""
        if self in self._disk.locks:
            self._disk.locks.remove(self)


class CrashDisk:
    """A directory in memory.

    Args:
        state: what it holds to begin with.
        salt: where the counting of salts begins.
        fault: somebody who may let a call fail.
    """

    def __init__(self, state: DiskState, *, salt: int = 0, fault: Fault | None = None) -> None:
        self.path = "disk"
        self.state = state
        self.fault = fault
        self.steps: list[Step] = []
        self.locks: list[CrashLock] = []
        self._salt = salt

    def step(self, step: Step) -> None:
        """Take a step and record it."""
        self.state.apply(step)
        self.steps.append(step)

    def mark(self, kind: str, number: int) -> None:
        """Note what the workload knows at this point."""
        self.steps.append(("mark", kind, number))

    def call(self, call: str, name: str) -> None:
        """Let the call fail, where somebody wants it to."""
        if self.fault is not None:
            self.fault(self, call, name)

    def exists(self) -> bool:
        """Tell that the directory is there: a store in memory has one from the start."""
        return True

    def make(self) -> None:
        """Do nothing: the directory is there."""

    def list(self) -> list[str]:
        """Return the names in the directory."""
        self.call("list", "")
        return [*self.state.names]

    def create(self, name: str, size_bytes: int) -> File:
        """Make a file of zeros."""
        self.call("create", name)
        number = self._make_inode(name)
        self.step(("resize", number, size_bytes))
        return CrashFile(self, name, number)

    def open(self, name: str, *, writable: bool) -> File:
        """Open a file that is there."""
        del writable
        self.call("open", name)
        return CrashFile(self, name, self.state.names[name])

    def read(self, name: str) -> bytes:
        """Return a whole file's bytes."""
        self.call("read", name)
        return bytes(self.state.inodes[self.state.names[name]].now)

    def write(self, name: str, chunks: Iterable[bytes], *, sync: bool) -> None:
        """Make a file of these bytes."""
        self.call("write", name)
        number = self._make_inode(name)
        for chunk in chunks:
            taken = self._take_what_fits(name, chunk)
            if taken:
                self.step(("append", number, chunk[:taken]))
            if taken < len(chunk):
                self.call("chunk", name)  # the second call of a short write; its error is the one to raise
                self.step(("append", number, chunk[taken:]))
        if sync:
            self.call("sync", name)
            self.step(("sync", number))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self.call("rename", old)
        self.step(("rename", old, new))

    def unlink(self, name: str) -> None:
        """Take a name away."""
        self.call("unlink", name)
        self.step(("unlink", name))

    def sync_dir(self) -> None:
        """Make the names durable."""
        self.call("sync_dir", "")
        self.step(("sync_dir",))

    def lock(self, *, exclusive: bool, in_child: Callable[[], None]) -> Lock:
        """Become the owner, or a reader."""
        del in_child
        self.call("lock", LOCK)
        if any(exclusive or held.exclusive for held in self.locks):
            raise StoreLockedError(self.path, None)
        return CrashLock(self, exclusive=exclusive)

    def random_salt(self) -> int:
        """Return the next salt."""
        self._salt += 1
        return crc32(self._salt.to_bytes(4, "little"))

    def now(self) -> float:
        """Return no particular time."""
        return 0.0

    def _make_inode(self, name: str) -> int:
        number = self.state.names.get(name, len(self.state.inodes))
        self.step(("create", name, number))
        return number

    def _take_what_fits(self, name: str, chunk: bytes) -> int:
        """Return how many bytes of a chunk the first write(2) takes."""
        short = getattr(self.fault, "short_write", None)
        return len(chunk) if short is None else short(self, name, chunk)


def _is_a_disk(disk: CrashDisk) -> Disk:
    """Hold the class to the seam's contract, for the type checker."""
    return disk
