"""Backup: copy segments into another directory, which passes for a store only when all of them are there.

Bytes of a segment before its end never change, so they can be copied while the store is at work, and even after a
compaction has unlinked the segment.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kvs.engine import Progress
from kvs.errors import StorageError
from kvs.log import files, marker
from kvs.log.disk import Disk, Memory, OsDisk
from kvs.log.files import SegmentName
from kvs.log.recovery import recover
from kvs.log.walk import records

CHUNK_BYTES: Final = 1 << 20


class Source(NamedTuple):
    """A segment to copy: its name, its bytes, and how many of them count."""

    name: SegmentName
    memory: Memory
    end: int


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was copied.

    Args:
        segments: how many files.
        size_bytes: how many bytes in all.
    """

    segments: int
    size_bytes: int


def copy(sources: Sequence[Source], dest: Disk, progress: Progress | None = None) -> BackupReport:
    """Copy segments into a directory and make it a store, durably.

    The ENGINE file says "unfinished-copy" from before the first segment until after the last, so that what a crash
    leaves is refused by every engine, and replaced by the next backup.

    Raises:
        StorageError: there is a store already, or the system refused.
    """
    dest.make()
    lock = dest.lock(exclusive=True, in_child=lambda: None)
    try:
        make_way(dest)
        marker.write(dest, marker.UNFINISHED)
        total_bytes, done_bytes = sum(source.end for source in sources), 0
        for source in sources:
            dest.write(source.name.data, _chunks(source, done_bytes, total_bytes, progress), sync=True)
            done_bytes += source.end
        dest.sync_dir()
        marker.write(dest)
    finally:
        lock.release()
    return BackupReport(len(sources), total_bytes)


def restore(
    src: str | os.PathLike[str], dest: str | os.PathLike[str], progress: Progress | None = None
) -> BackupReport:
    """Make a store in `dest` from the backup in `src`, which is read from end to end and must be sound.

    Raises:
        CorruptRecordError: rot in the backup; `kvs repair` saves what can be saved.
        StorageError: no backup there, or a store in `dest` already, or the system refused.
    """
    disk = OsDisk(src)
    if not marker.check(disk, disk.list()):
        raise StorageError(f"there is no backup in {disk.path}")
    lock = disk.lock(exclusive=False, in_child=lambda: None)
    try:
        found = recover(disk, writable=False)
        for segment in found.segments:
            for _ in records(segment):
                pass
        return copy([Source(each.name, each.memory, each.end) for each in found.segments], OsDisk(dest), progress)
    finally:
        lock.release()


def make_way(dest: Disk) -> None:
    """Clear what an unfinished backup or repair left; refuse where there is a store.

    Raises:
        StorageError: there is one.
    """
    names = files.ours(dest.list())
    if files.ENGINE in names and dest.read(files.ENGINE).startswith(marker.UNFINISHED.encode()):
        for name in sorted(names, key=lambda name: name == files.ENGINE):  # what says that it is unfinished goes last
            dest.unlink(name)
    elif set(names) - {files.ENGINE_TEMPORARY}:  # that one alone is a beginning that never counted
        raise StorageError(f"there is a store in {dest.path} already")


def _chunks(source: Source, done_bytes: int, total_bytes: int, progress: Progress | None) -> Iterator[bytes]:
    for start in range(0, source.end, CHUNK_BYTES):
        stop = min(start + CHUNK_BYTES, source.end)
        yield source.memory[start:stop]
        if progress is not None:
            progress(done_bytes + stop, total_bytes)
