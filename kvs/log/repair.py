"""Repair: make a new store of every sound record of a damaged one, and say what was lost."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kvs.engine import Op, Progress
from kvs.errors import CorruptRecordError, StorageError
from kvs.log import marker
from kvs.log.backup import make_way
from kvs.log.disk import OsDisk
from kvs.log.store import LogEngine
from kvs.log.verify import Finding, Locked, SegmentFile, find_files, pieces_with_losses, torn_tail_at
from kvs.log.walk import walk

BATCH_BYTES: Final = 4 << 20


@dataclass(slots=True)
class RepairReport:
    """What was saved, and what was not.

    Args:
        keys: keys in the new store.
        records: records read.
        lost_records: how many are missing between them, as far as their numbers tell: not behind the last one, nor
            in what was merged.
        lost: the stretches that could not be read. Where a removal or a newer value was among them, the new store
            has the key's older value.
    """

    keys: int = 0
    records: int = 0
    lost_records: int = 0
    lost: list[Finding] = field(default_factory=list)


def repair(src: str | os.PathLike[str], dest: str | os.PathLike[str], progress: Progress | None = None) -> RepairReport:
    """Salvage the store in `src` into a new one in `dest`; `src` stays as it is.

    Args:
        src: the damaged store's directory.
        dest: an empty directory, or one to be made.
        progress: called with the bytes read so far, and the bytes to read in all.

    Raises:
        StoreMissingError, StoreLockedError: no store in `src`, or somebody writes to it just now.
        WrongEngineError, UnsupportedFormatError: not a store of this engine, or of a later version.
        StorageError: there is a store in `dest` already, or the system refused.
    """
    report = RepairReport()
    new = OsDisk(dest)
    with Locked(OsDisk(src)) as disk:
        with contextlib.suppress(CorruptRecordError):  # the ENGINE file may be what is damaged
            marker.check(disk, disk.list())
        segment_files = sorted(find_files(disk, disk.list()), key=_first_sequence)
        if not segment_files:
            raise StorageError(f"there are no segments in {disk.path}")
        total_bytes, done_bytes = sum(len(each.memory) for each in segment_files), 0
        new.make()
        make_way(new)
        with LogEngine(new) as store:
            marker.write(new, marker.UNFINISHED)
            for segment_file in segment_files:
                for ops in _batches(segment_file, report):
                    store.write(ops)
                done_bytes += len(segment_file.memory)
                if progress is not None:
                    progress(done_bytes, total_bytes)
            report.keys = len(store)
        marker.write(new)
        report.lost_records = _count_lost(segment_files)
    return report


def _first_sequence(segment_file: SegmentFile) -> int:
    """Return the number of the first sound record: history's order, should files have been given wrong names."""
    pieces = walk(segment_file.memory, segment_file.seed)
    return next((piece.record.sequence for piece in pieces if piece.record is not None), 0)


def _count_lost(segment_files: list[SegmentFile]) -> int:
    """Count the numbers that are missing between the records of the files, in their order."""
    lost = last_sequence = 0
    for segment_file in segment_files:
        is_merged = segment_file.name.generation > 0
        for piece in walk(segment_file.memory, segment_file.seed):
            if piece.record is not None:
                sequence = piece.record.sequence
                lost += 0 if is_merged else max(0, sequence - last_sequence - 1)
                last_sequence = max(last_sequence, sequence)
    return lost


def _batches(segment_file: SegmentFile, report: RepairReport) -> Iterator[list[Op]]:
    """Return the sound records of a file as steps to take again, in parts of a handy size."""
    ops: list[Op] = []
    size_bytes = 0
    walked = [*pieces_with_losses(segment_file)]
    tail_at = torn_tail_at(segment_file, [piece for piece, _ in walked])
    for piece, lost in walked:
        if piece.offset >= tail_at:
            break  # what the last owner left unfinished; opening the store would cut it, too
        if piece.bad is not None:
            bad = piece.bad
            finding = Finding(segment_file.path, piece.offset, piece.size_bytes, bad.expected, bad.found, lost)
            report.lost.append(finding)
        elif piece.record is not None and piece.kind != "seal":
            report.records += 1
            ops.append((piece.record.key, piece.record.value if piece.kind == "value" else None))
            size_bytes += piece.size_bytes
            if size_bytes >= BATCH_BYTES:
                yield ops
                ops, size_bytes = [], 0
    yield ops
