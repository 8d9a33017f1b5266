"""Traps in a process's calls to the operating system: it dies at the n-th, and leaves what the disk may then hold.

What is left, in three folders:

    killed     the directory as `kill -9` leaves it: everything written is there, the last write only by half
    unsynced   as a power cut may leave it: the names as they were, each file as its last fsync left it
    unnamed    as a power cut may leave it: the names as the directory's last fsync left them, files as above

The functions are replaced before `kvs` is imported, so `from os import fsync` is trapped, too. Stores into mapped
memory are no calls and cannot be trapped; what they wrote stands in the files all the same.
"""

import builtins
import functools
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

WRITES: Final = ("write", "pwrite", "writev", "pwritev")
CHANGES: Final = ("mkdir", "rename", "replace", "link", "unlink", "remove", "truncate", "ftruncate", "posix_fallocate")
SYNCS: Final = ("fsync", "fdatasync")
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
DIED: Final = 99
"""The exit status of a process that a trap ended."""

real_file, real_write, real_pwrite = io.open, os.write, os.pwrite  # taken before any of them is replaced


class Traps:
    """Counts the trapped calls of this process, ends it at one of them, and leaves what a disk may then hold."""

    def __init__(self) -> None:
        self.die_at = 0  # 0 while disarmed
        self.count = 0
        self.path = Path()
        self.images = Path()
        self.synced: dict[int, bytes] = {}  # inode -> the file's bytes when it was last fsynced
        self.durable_names: dict[str, int] = {}  # name -> inode, when the directory was last fsynced
        self.held: list[IO[bytes]] = []  # open files, lest the system give an inode's number to another

    def arm(self, path: Path, images: Path, die_at: int) -> None:
        """Take what is on the disk now as durable, and begin to count."""
        self.path, self.images = path, images
        self.durable_names = inodes(path)
        for name, inode in self.durable_names.items():
            self._keep(path / name, inode)
        self.die_at = die_at

    def spring(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Count a call; end the process if it is the one."""
        if not self.die_at:
            return
        self.count += 1
        if self.count < self.die_at:
            return
        self.die_at = 0
        _write_half(name, arguments)
        self.leave_images()
        _save(self.images / "call", f"{name}({', '.join(map(_brief, arguments))})".encode())
        os._exit(DIED)

    def note_sync(self, file: Any) -> None:
        """Remember what an fsync made durable."""
        if not self.die_at:
            return
        status = os.fstat(file if isinstance(file, int) else file.fileno())
        if stat.S_ISDIR(status.st_mode):
            self.durable_names = inodes(self.path)
            return
        for name, inode in inodes(self.path).items():
            if inode == status.st_ino:
                self._keep(self.path / name, inode)

    def _keep(self, path: Path, inode: int) -> None:
        """Remember a file's bytes as durable."""
        if inode not in self.synced:
            self.held.append(real_file(path, "rb"))
        self.synced[inode] = read_whole(path)

    def leave_images(self) -> None:
        """Write down what the disk may hold after this end."""
        names = inodes(self.path)
        images = {
            "killed": {name: read_whole(self.path / name) for name in names},
            "unsynced": {name: self.synced.get(inode, b"") for name, inode in names.items()},
            "unnamed": {name: self.synced.get(inode, b"") for name, inode in self.durable_names.items()},
        }
        for kind, files in images.items():
            (self.images / kind).mkdir()
            for name, data in files.items():
                _save(self.images / kind / name, data)


def install(traps: Traps) -> None:
    """Replace the calls that change something by ones that count first."""

    def trapped(name: str, real: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(*arguments: Any, **options: Any) -> Any:
            if changes(*arguments, **options):
                traps.spring(name, arguments)
            result = real(*arguments, **options)
            if name in SYNCS:
                traps.note_sync(arguments[0])
            return result

        return call

    for name in (*WRITES, *CHANGES, *SYNCS):
        if hasattr(os, name):
            setattr(os, name, trapped(name, getattr(os, name), lambda *_, **__: True))
    os.open = trapped("open", os.open, lambda _path, flags, *_, **__: bool(flags & WRITING))
    builtins.open = io.open = trapped("open", io.open, lambda _path, mode="r", *_, **__: bool(set(mode) & set("wax+")))


def inodes(path: Path) -> dict[str, int]:
    """Return the inode of every file in a directory, by name."""
    return {entry.name: entry.inode() for entry in os.scandir(path) if entry.is_file()}


def _write_half(name: str, arguments: tuple[Any, ...]) -> None:
    """Tear a write: the first half of its bytes arrives, and no more."""
    if name not in WRITES:
        return
    file, data, *offset = arguments
    joined = b"".join(data) if name.endswith("v") else bytes(data)
    half = joined[: len(joined) // 2]
    if offset:
        real_pwrite(file, half, offset[0])
    else:
        real_write(file, half)


def read_whole(path: Path) -> bytes:
    """Return a file's bytes, past the traps."""
    with real_file(path, "rb") as file:
        return bytes(file.read())


def _save(path: Path, data: bytes) -> None:
    """Write a file, without spending room on zeros at its end."""
    with real_file(path, "wb") as file:
        file.write(data.rstrip(b"\0"))
        file.truncate(len(data))


def _brief(argument: object) -> str:
    return os.path.basename(argument) if isinstance(argument, str) else repr(argument)[:40]
