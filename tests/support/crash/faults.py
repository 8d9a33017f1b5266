"""Faults: let the n-th call to the disk fail.

The ways: an error number, once or from then on; a write that takes some bytes and then fails; and the fsync that fails
once and lies ever after, for the kernel marked the pages clean that it could not write. (Of names and sizes no such
thing is known: a file system whose journal fails stops.)
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kvs.errors import StorageError
from support.crash.crashdisk import CrashDisk

ERRNOS: Final = (
    errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EMFILE, errno.EFBIG, errno.EINTR,
)  # fmt: skip


@dataclass(slots=True)
class Fault:
    """Lets calls fail.

    Args:
        at: the number of the first call that fails, counting from 1; 0 for none.
        number: the error number.
        is_sticky: whether all later calls of the same kind fail as well.
        is_short: whether a write takes half of its bytes before it fails.
        calls: those that were made so far, and the files they were for.
        failed: those of them that failed.
        is_over: no more call fails.
    """

    at: int = 0
    number: int = errno.EIO
    is_sticky: bool = False
    is_short: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    is_over: bool = False

    def __call__(self, disk: CrashDisk, call: str, name: str) -> None:
        """Raise, if it is this call's turn; a failed fsync drops what it could not write."""
        if call != "chunk":
            self.calls.append((call, name))
        elif not self.is_over:
            self._fail(call, name)
        is_turn = len(self.calls) == self.at or (self.is_sticky and self.failed and self.failed[0][0] == call)
        if call == "chunk" or self.is_over or not is_turn or (self.is_short and call == "write"):
            return
        if call == "sync" and name in disk.state.names:
            disk.state.inodes[disk.state.names[name]].lose_pending_bytes()
        self._fail(call, name)

    def short_write(self, disk: CrashDisk, name: str, chunk: bytes) -> int:
        """Return how many bytes of a chunk are taken at first."""
        del disk, name
        is_turn = self.is_short and not self.is_over and len(self.calls) == self.at
        return len(chunk) // 2 if is_turn else len(chunk)

    def _fail(self, call: str, name: str) -> None:
        self.failed.append((call, name))
        cause = OSError(self.number, os.strerror(self.number))
        raise StorageError(f"cannot {call} {name}: {cause.strerror}") from cause


def faults_for(calls: int) -> Iterator[Fault]:
    """Return every fault for a workload of so many calls."""
    for at in range(1, calls + 1):
        for number in ERRNOS:
            for is_sticky in (False, True):
                yield Fault(at, number, is_sticky=is_sticky)
        yield Fault(at, errno.ENOSPC, is_short=True)
        yield Fault(at, errno.EIO, is_short=True)
