"""Verify: read every byte of a store, and tell which are not as they were written.

Works on any directory, in any state, and changes nothing. Opening a store stops at the first rot; this goes on.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from kvs.engine import Progress
from kvs.errors import CorruptRecordError, StoreMissingError
from kvs.log import files, header, hint, marker, tail
from kvs.log.disk import Disk, Memory, OsDisk
from kvs.log.files import SegmentName
from kvs.log.header import SegmentHeader
from kvs.log.keydir import pack
from kvs.log.lostseed import find_seed
from kvs.log.record import Bad
from kvs.log.segment import read_header
from kvs.log.walk import Piece, walk


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Args:
        path: the file.
        offset: where, in bytes from its start.
        size_bytes: how much is affected.
        expected: what should stand there.
        found: what does.
        lost_records: how many records stood there, where the numbers of their neighbours tell.
    """

    path: str
    offset: int
    size_bytes: int
    expected: str
    found: str
    lost_records: int | None = None

    def __str__(self) -> str:
        place = f": {self.size_bytes} bytes at offset {self.offset}" if self.size_bytes else ""
        lost = "" if self.lost_records is None else f"; records lost: {self.lost_records}"
        return f"{self.path}{place}: expected {self.expected}, found {self.found}{lost}"


@dataclass(slots=True)
class CheckReport:
    """What a check read, and what it found.

    Args:
        segments: data files that count.
        records: sound records in them, seals apart.
        size_bytes: what those files take.
        torn_bytes: what the last owner left unfinished at the end; no damage, the next opening cuts it.
        findings: the damage.
    """

    segments: int = 0
    records: int = 0
    size_bytes: int = 0
    torn_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A data file as a check or a repair sees it: perhaps damaged, so less is certain than of a Segment.

    `flaw` says what is wrong with its header, if anything: it may be damaged, or sound and another file's.
    """

    name: SegmentName
    path: str
    memory: Memory
    first_id: int
    seed: int | None
    is_last: bool
    flaw: Bad | None


def check(path: str | os.PathLike[str], progress: Progress | None = None) -> CheckReport:
    """Read every byte of the store in a directory.

    Args:
        path: the directory.
        progress: called with the bytes read so far, and the bytes to read in all.

    Raises:
        StoreMissingError: there is no store.
        StoreLockedError: somebody writes to it just now.
        WrongEngineError, UnsupportedFormatError: not a store of this engine, or of a later version.
    """
    report = CheckReport()
    with Locked(OsDisk(path)) as disk:
        names = disk.list()
        _check_marker(disk, names, report)
        segment_files = find_files(disk, names)
        report.segments = len(segment_files)
        _check_gaps(disk, segment_files, report)
        total_bytes = sum(len(each.memory) for each in segment_files)
        for each in segment_files:
            _check_segment(each, report)
            _check_hint(disk, each, names, report)
            report.size_bytes += len(each.memory)
            if progress is not None:
                progress(report.size_bytes, total_bytes)
    return report


class Locked:
    """A directory that nobody writes to while this is held."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        if not disk.exists():
            raise StoreMissingError(f"there is no store in {disk.path}")
        if not files.ours(disk.list()):
            raise StoreMissingError(f"there is no store in {disk.path}")
        self._lock = disk.lock(exclusive=False, in_child=lambda: None)

    def __enter__(self) -> Disk:
        return self._disk

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def find_files(disk: Disk, names: list[str]) -> list[SegmentFile]:
    """Return the data files that count, in the order of history, readable or not."""
    found: list[SegmentFile] = []
    covered_from = 1 << 32
    for name in reversed(files.with_ending(names, "data")):
        if name.id >= covered_from:
            continue
        file = disk.open(name.data, writable=False)
        memory = file.memory
        file.close()
        head, flaw = _header_of(disk, name, memory)
        seed = head.seed if head is not None else _seed_without_header(disk, name, names, memory)
        covered_from = name.id if head is None else head.first_id
        path = f"{disk.path}/{name.data}"
        found.append(SegmentFile(name, path, memory, covered_from, seed, not found, flaw))
    return found[::-1]


def pieces_with_losses(segment_file: SegmentFile) -> Iterator[tuple[Piece, int | None]]:
    """Walk a data file; beside each piece of bad bytes, how many records it was.

    Records are numbered without a gap as they are written, so two sound neighbours tell. After a merge they are not.
    """
    pieces = [*walk(segment_file.memory, segment_file.seed)]
    for before, piece, after in zip([None, *pieces], pieces, [*pieces[1:], None], strict=False):
        lost = None
        if piece.kind == "bad" and before and after and before.record and after.record:
            lost = after.record.sequence - before.record.sequence - 1
        yield piece, None if segment_file.name.generation else lost


def _header_of(disk: Disk, name: SegmentName, memory: Memory) -> tuple[SegmentHeader | None, Bad | None]:
    """Return a data file's header; or none, and what is wrong with it.

    Raises:
        UnsupportedFormatError: it is of a later version.
    """
    try:
        return read_header(disk, name, memory[: header.SIZE_BYTES]), None
    except CorruptRecordError as error:
        return None, Bad(error.expected, error.found)


def _seed_without_header(disk: Disk, name: SegmentName, names: list[str], memory: Memory) -> int | None:
    """Look for the seed of a file whose header is damaged: its hint knows it, and so do its records."""
    if name.hint in names:
        seed = hint.seed_of(disk.read(name.hint))
        if seed is not None:
            return seed
    return find_seed(memory[:])


def _check_marker(disk: Disk, names: list[str], report: CheckReport) -> None:
    try:
        is_there = marker.check(disk, names)
    except CorruptRecordError as error:
        report.findings.append(Finding(error.path, 0, 0, error.expected, error.found))
    else:
        if not is_there:
            raise StoreMissingError(f"there is no store in {disk.path}")


def _check_gaps(disk: Disk, segment_files: list[SegmentFile], report: CheckReport) -> None:
    """Note segments that are missing between the others."""
    expected_id = 1
    for each in segment_files:
        if each.first_id > expected_id:
            path = f"{disk.path}/{SegmentName(expected_id, 0).data}"
            report.findings.append(Finding(path, 0, 0, f"segment {expected_id}", "no file that holds it"))
        expected_id = each.name.id + 1


def _check_segment(segment_file: SegmentFile, report: CheckReport) -> None:
    """Count a file's records, and note what else is in it."""
    walked = [*pieces_with_losses(segment_file)]
    report.records += sum(piece.kind in {"value", "tombstone"} for piece, _ in walked)
    if segment_file.flaw is not None and walked and walked[0][0].kind == "header":  # sound, and another file's
        flaw = segment_file.flaw
        report.findings.append(Finding(segment_file.path, 0, header.SIZE_BYTES, flaw.expected, flaw.found))
    tail_at = torn_tail_at(segment_file, [piece for piece, _ in walked])
    for piece, lost in walked:
        if piece.offset >= tail_at:
            report.torn_bytes += piece.size_bytes if piece.kind != "room" else 0
        elif piece.bad is not None:
            finding = Finding(
                segment_file.path, piece.offset, piece.size_bytes, piece.bad.expected, piece.bad.found, lost
            )
            report.findings.append(finding)
    must_be_sealed = not segment_file.is_last or segment_file.name.generation
    if must_be_sealed and (not walked or walked[-1][0].kind not in {"seal", "bad"}):
        end = len(segment_file.memory)
        report.findings.append(Finding(segment_file.path, end, 0, "a seal at the end of the file", "its end"))


def torn_tail_at(segment_file: SegmentFile, pieces: list[Piece]) -> int:
    """Return where the torn tail of a data file begins, by the rule that recovery goes by; see kvs.log.tail."""
    end = len(segment_file.memory)
    if not segment_file.is_last or segment_file.name.generation:
        return end
    sound = [*takewhile(lambda piece: piece.kind not in {"bad", "room"}, pieces)]
    tail_at = sum(piece.size_bytes for piece in sound)
    if tail_at < header.SIZE_BYTES or segment_file.seed is None:
        return end if len(pieces) > 1 and pieces[-1].kind != "room" else tail_at
    if tail_at < end:
        sequence = max((piece.record.sequence for piece in sound if piece.record), default=0)
        follows_seal = sound[-1].kind == "seal"
        why = tail.why_rot(segment_file.memory, tail_at, segment_file.seed, sequence, follows_seal=follows_seal)
        if why is not None:
            return end
    # A batch without its last record goes with the tail.
    unfinished = takewhile(lambda piece: piece.record is not None and piece.record.has_more, reversed(sound))
    return tail_at - sum(piece.size_bytes for piece in unfinished)


def _check_hint(disk: Disk, segment_file: SegmentFile, names: list[str], report: CheckReport) -> None:
    """Hold a hint against the records it speaks of."""
    name = segment_file.name.hint
    if name not in names or segment_file.seed is None:
        return
    data = disk.read(name)
    said = hint.decode(data, segment_file.seed)
    if said is None:
        found = "a damaged one, which is passed over and costs only time"
        report.findings.append(Finding(f"{disk.path}/{name}", 0, len(data), "a hint whose checksum fits", found))
    elif not any(piece.kind == "bad" for piece in walk(segment_file.memory, segment_file.seed)):
        values, removed = _keys_before(segment_file, said.covered)
        if (dict(zip(said.keys, said.places, strict=True)), set(said.removed)) != (values, removed):
            report.findings.append(
                Finding(f"{disk.path}/{name}", 0, len(data), "the keys of the segment", "other keys")
            )


def _keys_before(segment_file: SegmentFile, offset: int) -> tuple[dict[bytes, int], set[bytes]]:
    """Return what the records before an offset come to: each key's place, and the keys removed."""
    values: dict[bytes, int] = {}
    removed: set[bytes] = set()
    for piece in walk(segment_file.memory, segment_file.seed):
        if piece.record is None or piece.offset >= offset:
            continue
        key = piece.record.key
        if piece.kind == "value":
            values[key] = pack(0, piece.offset, piece.size_bytes)
            removed.discard(key)
        elif piece.kind == "tombstone":
            values.pop(key, None)
            removed.add(key)
    return values, removed
