"""What a disk may hold if the process died, or the power failed, right before one of its calls to the system.

No process has to die for that: whatever it has written lies in files, and the rest would be lost with it. So before
every call that changes something, four images of the directory are taken:

    killed     as `kill -9` leaves it: everything written is there, a last write only by half
    unsynced   as a power cut may leave it: the names as they are, each file as its last fsync left it
    unnamed    as a power cut may leave it: the names as the directory's last fsync left them, files as above
    unlinked   the same, but what was unlinked since then is gone: of changes to names, any may be the first on disk

The functions are replaced before `kvs` is imported, so `from os import fsync` is seen, too. Stores into mapped memory
are no calls, and what they wrote stands in the files all the same.
"""

import builtins
import functools
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

WRITES: Final = ("write", "pwrite")
CHANGES: Final = (
    *("writev", "pwritev", "mkdir", "rename", "replace", "link", "unlink", "remove"),
    *("truncate", "ftruncate", "posix_fallocate"),
)
SYNCS: Final = ("fsync", "fdatasync")
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

real_file = io.open  # taken before it is replaced


class CrashImages:
    """Takes images of a directory, each different one once.

    Args:
        path: the store's directory.
        folder: takes the images, each in a folder named by its digest.
        tell: called for each call with its words and the digests of the images.

    Threads: the lock lets one call at a time be looked at; background threads call the system, too.
    """

    def __init__(self, path: Path, folder: Path, tell: Callable[[dict[str, str]], None]) -> None:
        self._path = path
        self._folder = folder
        self._tell = tell
        self._lock = threading.RLock()
        self._is_busy = False  # taking an image, which makes calls of its own
        self._held: list[IO[bytes]] = []  # open files, lest the system give an inode's number to another
        self._synced: dict[int, bytes] = {}  # inode -> the file's bytes when it was last fsynced
        self._durable_names = inodes(path)  # name -> inode, when the directory was last fsynced
        for name, inode in self._durable_names.items():
            self._keep(path / name, inode)

    def take(self, call: str) -> None:
        """Take the images of this moment."""
        with self._lock:
            if self._is_busy:
                return
            self._is_busy = True
            names = inodes(self._path)
            killed = {name: read_whole(self._path / name) for name in names}
            unsynced = {name: self._synced.get(inode, b"") for name, inode in names.items()}
            unnamed = {name: self._synced.get(inode, b"") for name, inode in self._durable_names.items()}
            unlinked = {name: data for name, data in unnamed.items() if name in names}
            kinds = {"killed": killed, "unsynced": unsynced, "unnamed": unnamed, "unlinked": unlinked}
            self._tell({"call": call} | {kind: self._save(files) for kind, files in kinds.items()})
            self._is_busy = False

    def note_sync(self, file: Any) -> None:
        """Remember what an fsync made durable."""
        status = os.fstat(file if isinstance(file, int) else file.fileno())
        with self._lock:
            if stat.S_ISDIR(status.st_mode):
                self._durable_names = inodes(self._path)
            for name, inode in inodes(self._path).items():
                if inode == status.st_ino:
                    self._keep(self._path / name, inode)

    def _keep(self, path: Path, inode: int) -> None:
        """Remember a file's bytes as durable."""
        if inode not in self._synced:
            self._held.append(real_file(path, "rb"))
        self._synced[inode] = read_whole(path)

    def _save(self, files: dict[str, bytes]) -> str:
        """Save an image, unless there is one like it, and return its digest."""
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
        folder = self._folder / digest
        if not folder.exists():
            folder.mkdir()
            for name, data in files.items():
                with real_file(folder / name, "wb") as file:
                    file.write(data.rstrip(b"\0"))  # zeros at the end need no room
                    file.truncate(len(data))
        return digest


def install(taker: Callable[[], CrashImages | None]) -> None:
    """Replace the calls that change something by ones that have images taken first, once there is a taker."""

    def seen(name: str, real: Callable[..., Any], is_change: Callable[..., bool]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(*arguments: Any, **options: Any) -> Any:
            images = taker()
            if images is None or not is_change(*arguments, **options):
                return real(*arguments, **options)
            described = f"{name}({', '.join(map(_brief, arguments))})"
            if name in WRITES:
                return _write_in_halves(real, arguments, lambda: images.take(described))
            images.take(described)
            result = real(*arguments, **options)
            if name in SYNCS:
                images.note_sync(arguments[0])
            return result

        return call

    for name in (*WRITES, *CHANGES, *SYNCS):
        if hasattr(os, name):
            setattr(os, name, seen(name, getattr(os, name), lambda *_, **__: True))
    os.open = seen("open", os.open, lambda _path, flags, *_, **__: bool(flags & WRITING))
    builtins.open = io.open = seen("open", io.open, lambda _path, mode="r", *_, **__: bool(set(mode) & set("wax+")))


def inodes(path: Path) -> dict[str, int]:
    """Return the inode of every file in a directory, by name."""
    return {entry.name: entry.inode() for entry in os.scandir(path) if entry.is_file()}


def read_whole(path: Path) -> bytes:
    """Return a file's bytes."""
    with real_file(path, "rb") as file:
        return bytes(file.read())


def _write_in_halves(real: Callable[..., int], arguments: tuple[Any, ...], take: Callable[[], None]) -> int:
    """Tear a write: take the images when the first half of its bytes has arrived, and no more."""
    file, data, *offset = arguments
    view = memoryview(data).cast("B")
    written = real(file, view[: len(view) // 2], *offset)
    take()
    return written + real(file, view[written:], *(start + written for start in offset))


def _brief(argument: object) -> str:
    return os.path.basename(argument) if isinstance(argument, str) else repr(argument)[:40]
