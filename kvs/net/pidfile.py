"""PidFile: a file that says which process serves, and that there is one only.

Layout: the process id in decimal digits, and a line feed.

What makes its writer the only one is not the number but a lock on the file, an flock, held for as long as the process
lives. So the file that a killed process left behind hinders nobody, and neither does its number, which the system may
long since have given to another process.

Invariants:
    1. Who holds the lock of the file that has the name now is the owner; there is one at most.
    2. The name is taken away only by the owner, and while it holds the lock.
"""

import contextlib
import errno
import fcntl
import logging
import os
import stat
import weakref
from types import TracebackType
from typing import Final, Self

from kvs.errors import KvsError

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 4096
"""A file larger than this holds something that somebody may want back; it is not overwritten."""
FILE_MODE: Final = 0o644
NOTHING: Final = -1


class PidFile:
    """The PID file of this process, from when it is made until `release`; as a context manager until the block ends.

    Args:
        path: its name; the directory must be there.

    Raises:
        KvsError: another process that lives has the file, or what has the name is not a PID file.
        OSError: the system refuses.

    Threads: for one thread. A forked child holds nothing of it, and removes nothing.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)  # or a change of directory would have us remove another file
        self._fd = NOTHING
        while self._fd == NOTHING:
            self._fd = self._lock()
        try:
            before = os.pread(self._fd, MAX_BYTES, 0)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError:
            self._let_go()
            raise
        if before.strip():
            logger.warning("%s was left behind by %s; it is ours now", self.path, _owner(before))
        _held.add(self)

    def _lock(self) -> int:
        """Return a descriptor of the locked file, or NOTHING when the name went to another file meanwhile.

        The race, without the last look:
            1. A, the owner, holds the lock; we open the file.
            2. A takes the name away and ends. We get the lock, of a file without a name.
            3. B makes a new file of that name, locks it, and is an owner as well.
        """
        fd = _open(self.path)
        try:
            _check_kind(self.path, os.fstat(fd))
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_name(fd, self.path):
                return fd
        except BlockingIOError:
            owner = _owner(os.pread(fd, MAX_BYTES, 0))
            os.close(fd)
            raise KvsError(f"already running as {owner} ({self.path})") from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return NOTHING

    def release(self) -> None:
        """Remove the file and let go of its lock. Once is enough, twice is fine."""
        if self._fd == NOTHING:
            return
        with contextlib.suppress(OSError):  # somebody has taken the name away, or the directory
            if _has_name(self._fd, self.path):
                os.unlink(self.path)
        self._let_go()

    def _let_go(self) -> None:
        if self._fd != NOTHING:
            fd, self._fd = self._fd, NOTHING
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_held: weakref.WeakSet[PidFile] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """Close the child's copy of the lock: a child that outlives its parent does not serve."""
    for each in list(_held):
        each._let_go()  # noqa: SLF001  # of this module


os.register_at_fork(after_in_child=_after_fork_in_child)


def _open(path: str) -> int:
    """Open or make the file, but follow no symbolic link, and wait for nobody at a pipe."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, FILE_MODE)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:  # the second on some BSDs
            raise KvsError(f"{path} is a symbolic link; a PID file is not written through one") from None
        raise


def _check_kind(path: str, found: os.stat_result) -> None:
    """See that nothing of anybody else's would be overwritten."""
    if not stat.S_ISREG(found.st_mode):
        raise KvsError(f"{path} is not a regular file, so it cannot be a PID file")
    if found.st_nlink > 1:
        raise KvsError(f"{path} is also known by another name, so it is not a PID file")
    if found.st_size > MAX_BYTES:
        raise KvsError(f"{path} has {found.st_size:,} bytes, so it is not a PID file; remove it if you do not need it")


def _has_name(fd: int, path: str) -> bool:
    """Tell whether the open file is the one that has the name now."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _owner(content: bytes) -> str:
    r"""Return in words whom a PID file names.

    >>> _owner(b"4711\n"), _owner(b"0x17"), _owner(b"")
    ('process 4711', 'another process', 'another process')
    """
    digits = content.strip()
    return f"process {digits.decode()}" if digits.isdigit() and len(digits) < 20 else "another process"
