"""WatchedDisk: the operating system's disk, each step of which a test may record, hold up or let fail."""

import os
import random
from collections.abc import Callable, Iterable
from typing import Final

from kvs.errors import StorageError
from kvs.log.disk import OsDisk, OsFile

READ_WRITE: Final = os.O_RDWR | os.O_CLOEXEC
READ_ONLY: Final = os.O_RDONLY | os.O_CLOEXEC


class WatchedFile(OsFile):
    """A file that announces what changes it."""

    def __init__(self, path: str, flags: int, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._name = os.path.basename(path)
        super().__init__(path, flags)

    def grow(self, size_bytes: int) -> None:
        """Announce, and grow."""
        self._announce(f"grow {self._name}")
        super().grow(size_bytes)

    def truncate(self, size_bytes: int) -> None:
        """Announce, and truncate."""
        self._announce(f"truncate {self._name}")
        super().truncate(size_bytes)

    def sync(self) -> None:
        """Announce, and sync."""
        self._announce(f"sync {self._name}")
        super().sync()


class WatchedDisk(OsDisk):
    """A directory whose salts are seeded and whose steps are announced.

    Args:
        path: the directory.
        seed: of the salts, so that the same writes make the same bytes.
    """

    def __init__(self, path: str | os.PathLike[str], seed: int = 1) -> None:
        super().__init__(path)
        self.steps: list[str] = []
        self.before: Callable[[str], None] = lambda _step: None  # called before each step; it may wait, or raise
        self._salts = random.Random(seed)

    def announce(self, step: str) -> None:
        """Record a step that is about to be taken, and let the test have its way."""
        self.steps.append(step)
        self.before(step)

    def fail(self, start: str, errno: int, times: int = 1) -> None:
        """Let the next steps that begin with these words fail as the operating system fails."""
        left = [None] * times

        def before(step: str) -> None:
            if left and step.startswith(start):
                left.pop()
                raise StorageError(f"cannot {step}: {os.strerror(errno)}") from OSError(errno, os.strerror(errno))

        self.before = before

    def create(self, name: str, size_bytes: int) -> WatchedFile:
        """Announce, and create."""
        self.announce(f"create {name}")
        super().create(name, size_bytes).close()
        return WatchedFile(self._join(name), READ_WRITE, self.announce)

    def open(self, name: str, *, writable: bool) -> WatchedFile:
        """Open a file; that changes nothing, so it is not announced."""
        return WatchedFile(self._join(name), READ_WRITE if writable else READ_ONLY, self.announce)

    def write(self, name: str, chunks: Iterable[bytes], *, sync: bool) -> None:
        """Announce, and write."""
        self.announce(f"write {name}{' synced' if sync else ''}")
        super().write(name, chunks, sync=sync)

    def rename(self, old: str, new: str) -> None:
        """Announce, and rename."""
        self.announce(f"rename {old} {new}")
        super().rename(old, new)

    def unlink(self, name: str) -> None:
        """Announce, and unlink."""
        self.announce(f"unlink {name}")
        super().unlink(name)

    def sync_dir(self) -> None:
        """Announce, and sync the directory."""
        self.announce("sync_dir")
        super().sync_dir()

    def random_salt(self) -> int:
        """Return the next seeded salt."""
        return self._salts.getrandbits(32)
