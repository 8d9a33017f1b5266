"""The seam to the operating system: the few calls that the log makes, and OsDisk that makes them.

A Disk is one directory; names are plain file names in it. The log knows nothing else of the world, so a test may put
an in-memory directory here, record every step, and end the world after any of them.

Contract:
    1. What `create`, `rename` and `unlink` did to names is durable after `sync_dir`; what a file holds, after the
       file's `sync`. Nothing else is promised, in any order.
    2. Every OSError leaves as a StorageError, with the OSError as its cause.
    3. A file is an array of bytes, mapped into memory. A store to it survives the death of the process, as write(2)
       does, for the page cache has it; unlike write(2) it costs no system call. Room is allocated before it is
       mapped, so that a full disk is an error in `grow` and not a signal later. (A signal, SIGBUS, is still what a
       process gets that reads a mapped sector which the drive cannot read, or where somebody else cut the file.)
"""

import contextlib
import errno
import fcntl
import mmap
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from kvs.errors import StorageError, StoreLockedError, StoreMissingError
from kvs.log.files import LOCK

NO_LOCK: Final = -1
"""In place of a descriptor, where there is nothing to let go."""
DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600


class Memory(Protocol):
    """The bytes of a file: slices are read, and replaced by as many bytes."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> bytes: ...

    def __setitem__(self, where: slice, data: bytes, /) -> None: ...


class File(Protocol):
    """One open file. `memory` is replaced by `grow` and `truncate`; a slice taken before stays valid."""

    @property
    def memory(self) -> Memory:
        """The file's bytes, all of them."""

    def grow(self, size_bytes: int) -> None:
        """Extend the file with zeros, the room for them allocated. On failure the file is as it was."""

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size."""

    def sync(self) -> None:
        """Return when the bytes are on the disk itself. After a failure nobody knows which are."""

    def close(self) -> None:
        """Let go of the file; whoever holds its memory keeps it."""


class Lock(Protocol):
    """Ownership of a directory. It ends with the process, whatever ends that."""

    def release(self) -> None:
        """Give the directory up."""


class Disk(Protocol):
    """One directory."""

    path: str

    def exists(self) -> bool:
        """Tell whether the directory is there."""

    def make(self) -> None:
        """Make the directory, and those above it, durably."""

    def list(self) -> list[str]:
        """Return the names in the directory, in any order."""

    def create(self, name: str, size_bytes: int) -> File:
        """Make a file of zeros, its room allocated, to read and write; one of that name is replaced."""

    def open(self, name: str, *, writable: bool) -> File:
        """Open a file that is there."""

    def read(self, name: str) -> bytes:
        """Return a whole file's bytes."""

    def write(self, name: str, chunks: Iterable[bytes], *, sync: bool) -> None:
        """Make a file of these bytes; one of that name is replaced. With `sync`, durably but for its name."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, at one instant; a file that had it is gone."""

    def unlink(self, name: str) -> None:
        """Take a name away. Whoever has the file open or mapped keeps it."""

    def sync_dir(self) -> None:
        """Return when the directory's names are on the disk itself."""

    def lock(self, *, exclusive: bool, in_child: Callable[[], None]) -> Lock:
        """Become the directory's owner, or one of its readers. Who may read and not even lock, reads without.

        Args:
            exclusive: to own, and not just to read.
            in_child: called in a forked child, which owns nothing.

        Raises:
            StoreLockedError: somebody else has it.
        """

    def random_salt(self) -> int:
        """Return 32 random bits."""

    def now(self) -> float:
        """Return the wall clock, in seconds since 1970; for people to read, never to order anything."""


@contextlib.contextmanager
def _storage_errors(deed: str, path: str) -> Iterator[None]:
    """Turn an OSError into a StorageError that says what was tried, on which path, and why it failed."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreMissingError(f"cannot {deed} {path}: {error.strerror}") from error
    except OSError as error:
        raise StorageError(f"cannot {deed} {path}: {error.strerror or error}") from error


class OsFile:
    """A file of the operating system, mapped."""

    def __init__(self, path: str, flags: int) -> None:
        self._path = path
        self._fd = -1
        with _storage_errors("open", path):
            self._fd = os.open(path, flags, FILE_MODE)
            self._access = mmap.ACCESS_WRITE if flags & os.O_RDWR else mmap.ACCESS_READ
            self.memory: Memory = self._map(os.fstat(self._fd).st_size)
        if not flags & os.O_RDWR:
            self.close()  # the mapping is all that a reader needs, and descriptors are few

    def grow(self, size_bytes: int) -> None:
        """Extend the file with zeros, the room for them allocated."""
        with _storage_errors("grow", self._path):
            before = len(self.memory)
            try:
                _allocate(self._fd, before, size_bytes - before)
            except OSError:
                os.ftruncate(self._fd, before)
                raise
            self.memory = self._map(size_bytes)

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to this size."""
        with _storage_errors("truncate", self._path):
            # The new mapping first: were it to fail, the old one must not reach beyond the file's end.
            self.memory = self._map(size_bytes)
            os.ftruncate(self._fd, size_bytes)

    def sync(self) -> None:
        """Return when the bytes are on the disk itself."""
        with _storage_errors("sync", self._path):
            _sync(self._fd)

    def close(self) -> None:
        """Let go of the descriptor. The mapping goes when the last who holds it lets go: a slot is never reused."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _map(self, size_bytes: int) -> Memory:
        """Map the first bytes of the file; an empty file cannot be mapped and needs no mapping."""
        if size_bytes == 0:
            return bytearray()  # type: ignore[return-value]  # empty: no slice of it can be of a wrong type
        memory: Memory = mmap.mmap(self._fd, size_bytes, access=self._access)
        return memory

    def __del__(self) -> None:
        self.close()


class OsLock:
    """An flock on the LOCK file. It goes with the process, so a dead owner's never needs cleaning.

    A forked child shares its parent's lock: the child's copy of the descriptor is closed at the fork, or a child that
    outlives its parent would own a store it may not write.
    """

    def __init__(self, fd: int, *, is_owner: bool, in_child: Callable[[], None]) -> None:
        self._fd = fd
        self._is_owner = is_owner
        # Weak, where it is a method: the engine holds the lock, and is not to be held by it, or an engine that was
        # dropped without close() would keep its directory until the garbage collector comes by.
        self._in_child = weakref.WeakMethod(in_child) if hasattr(in_child, "__self__") else lambda: in_child
        _held.add(self)

    def release(self) -> None:
        """Give the directory up; an owner takes its name off the door."""
        if self._is_owner:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
        self._close()

    def _close(self) -> None:
        if self._fd != NO_LOCK:
            fd, self._fd = self._fd, NO_LOCK
            self._is_owner = False
            os.close(fd)

    def leave_to_parent(self) -> None:
        """In a forked child: let go, and tell the engine."""
        if self._fd != NO_LOCK:
            self._close()
            in_child = self._in_child()
            if in_child is not None:
                in_child()

    def __del__(self) -> None:
        self._close()


_held: weakref.WeakSet[OsLock] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_held):
        lock.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


class OsDisk:
    """A directory of the operating system: Linux, macOS and their like. Windows lacks flock."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(path)  # for messages, as it was given
        self._root = os.path.abspath(self.path)  # for the system: the process may change its directory

    def exists(self) -> bool:
        """Tell whether the directory is there."""
        return os.path.lexists(self._root)

    def make(self) -> None:
        """Make the directory, and those above it, durably."""
        with _storage_errors("make", self.path):
            _make_directory(self._root)

    def list(self) -> list[str]:
        """Return the names in the directory, in any order."""
        with _storage_errors("list", self.path):
            return os.listdir(self._root)

    def create(self, name: str, size_bytes: int) -> OsFile:
        """Make a file of zeros, its room allocated, to read and write."""
        file = OsFile(self._join(name), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            file.grow(size_bytes)
        except StorageError:
            file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._join(name))
            raise
        return file

    def open(self, name: str, *, writable: bool) -> OsFile:
        """Open a file that is there."""
        return OsFile(self._join(name), (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)

    def read(self, name: str) -> bytes:
        """Return a whole file's bytes."""
        path = self._join(name)
        with _storage_errors("read", path), open(path, "rb") as file:
            return file.read()

    def write(self, name: str, chunks: Iterable[bytes], *, sync: bool) -> None:
        """Make a file of these bytes."""
        path = self._join(name)
        with _storage_errors("write", path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                for chunk in chunks:
                    _write_all(fd, chunk)
                if sync:
                    _sync(fd)
            finally:
                os.close(fd)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, at one instant."""
        with _storage_errors("rename", self._join(old)):
            os.rename(self._join(old), self._join(new))

    def unlink(self, name: str) -> None:
        """Take a name away."""
        with _storage_errors("unlink", self._join(name)):
            os.unlink(self._join(name))

    def sync_dir(self) -> None:
        """Return when the directory's names are on the disk itself."""
        with _storage_errors("sync", self.path):
            _sync_dir(self._root)

    def lock(self, *, exclusive: bool, in_child: Callable[[], None]) -> OsLock:
        """Take the flock: alone to own, shared to read."""
        path = self._join(LOCK)
        with _storage_errors("lock", path):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            except OSError as error:
                if exclusive or error.errno not in {errno.EACCES, errno.EROFS, errno.EPERM}:
                    raise
                return OsLock(NO_LOCK, is_owner=False, in_child=in_child)
            try:
                fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                if exclusive:
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
            except BlockingIOError:
                owner = _living_process(os.pread(fd, 32, 0).strip())
                os.close(fd)
                raise StoreLockedError(self.path, owner) from None
            except OSError:
                os.close(fd)
                raise
        return OsLock(fd, is_owner=exclusive, in_child=in_child)

    def random_salt(self) -> int:
        """Return 32 random bits."""
        return int.from_bytes(os.urandom(4), "little")

    def now(self) -> float:
        """Return the wall clock."""
        return time.time()

    def _join(self, name: str) -> str:
        return os.path.join(self._root, name)


def _living_process(digits: bytes) -> int | None:
    """Return the process that a LOCK file names, if it lives: the name may be left from an owner killed long ago."""
    if not digits.isdigit() or len(digits) > 18:
        return None
    try:
        os.kill(int(digits), 0)
    except ProcessLookupError:
        return None
    except OSError:  # it exists, and belongs to somebody else
        pass
    return int(digits)


def _make_directory(path: str) -> None:
    """Make a directory and those above it that are missing, each name durable in the one above."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    _make_directory(above)
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        if not os.path.isdir(path):
            raise  # else somebody else has made it just now, which is as well
    _sync_dir(above)


def _allocate(fd: int, offset: int, size_bytes: int) -> None:
    """Give a file room on the disk, zeroed; where there is no call for it, by writing the zeros."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, offset, size_bytes)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
        else:
            return
    os.ftruncate(fd, offset + size_bytes)  # the final length at once: a length between two could pass for a sealed one
    os.lseek(fd, offset, os.SEEK_SET)
    for start in range(0, size_bytes, 1 << 20):
        _write_all(fd, bytes(min(1 << 20, size_bytes - start)))


def _write_all(fd: int, data: bytes) -> None:
    """Write all the bytes; the system may take fewer at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync(fd: int) -> None:
    """Bring a file's bytes, and the size they need, to the disk itself; mapped pages are among them."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    elif hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # macOS: fsync alone stops at the drive's cache
    else:
        os.fsync(fd)


def _sync_dir(path: str) -> None:
    """Bring a directory's names to the disk itself."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)
    finally:
        os.close(fd)
