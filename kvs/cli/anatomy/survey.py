"""Which records of a store still count: a look at all its data files, without opening it as a store.

It works on what recovery would refuse, too. Of each key the record with the highest sequence number counts; and a
file that a merge has replaced, but that a crash has left lying about, counts for nothing.
"""

import os
from typing import Final, Literal, TypeAlias

from kvs.log import files, header, tail
from kvs.log.disk import Memory
from kvs.log.walk import Piece, walk

State: TypeAlias = Literal["", "live", "dead", "torn", "bad"]
_NOBODYS: Final = (-1, "", 0)


def read_bytes(path: str) -> Memory:
    """Return a file's bytes. They are a copy: a mapping would fall from under us when the store's owner cuts the file.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return file.read()  # type: ignore[return-value]  # nobody here writes to it


def data_files(directory: str) -> list[str]:
    """Return the paths of a store's data files, in the order of history."""
    return [os.path.join(directory, name.data) for name in files.with_ending(os.listdir(directory), "data")]


class Survey:
    """What counts in a set of data files.

    Args:
        paths: the files, in the order of history.
    """

    def __init__(self, paths: list[str]) -> None:
        self._current: dict[bytes, tuple[int, str, int]] = {}  # key -> sequence, path, offset of what counts
        self._torn_from: dict[str, int] = {}  # path -> the offset from which recovery would cut it
        self._replaced = _replaced(paths)
        for path in paths:
            if path not in self._replaced:
                self._read(path, is_last=path == paths[-1])

    def state_of(self, path: str, piece: Piece) -> State:
        """Tell whether a piece counts.

        Returns:
            "live" for a key's value; "dead" for what a compaction gives back, tombstones among it; "torn" for what a
            crash left unfinished and recovery cuts off; "bad" for damage; "" for what is no record.
        """
        if piece.kind in {"header", "room"}:
            return ""
        if piece.offset >= self._torn_from.get(path, piece.offset + 1):
            return "torn"
        if piece.kind == "bad":
            return "bad"
        if piece.kind == "seal" or piece.record is None:
            return ""
        is_current = self._current.get(piece.record.key) == (piece.record.sequence, path, piece.offset)
        return "live" if is_current and piece.kind == "value" else "dead"

    def _read(self, path: str, *, is_last: bool) -> None:
        """Take one file's records into account; a batch counts when its last record is there."""
        data = read_bytes(path)
        batch: list[Piece] = []
        torn_at, sequence = len(data), 0
        for piece in walk(data):
            if piece.kind == "bad" and is_last and not _is_rot(data, piece, sequence):
                torn_at = piece.offset
                break
            if piece.record is not None:
                sequence = piece.record.sequence
                batch.append(piece)
                if not piece.record.has_more:
                    self._count(path, batch)
                    batch = []
            is_last = is_last and piece.kind != "bad"  # behind rot no tail is cut: the store does not open
        if is_last:
            self._torn_from[path] = batch[0].offset if batch else torn_at
        else:
            self._count(path, batch)

    def _count(self, path: str, batch: list[Piece]) -> None:
        """Let these records take the place of older ones."""
        for piece in batch:
            record = piece.record
            if record is not None and self._current.get(record.key, _NOBODYS)[0] <= record.sequence:
                self._current[record.key] = (record.sequence, path, piece.offset)


def _replaced(paths: list[str]) -> set[str]:
    """Return the files whose records a later, merged file holds instead."""
    replaced: set[str] = set()
    covered_from = 1 << 32
    for path in reversed(paths):
        name = files.parse(os.path.basename(path))
        if name is None:
            continue
        if name[0].id >= covered_from:
            replaced.add(path)
        elif (head := header.decode(_first_bytes(path))) is not None:
            covered_from = head.first_id
    return replaced


def _first_bytes(path: str) -> bytes:
    """Return the bytes of a file that should be its header."""
    with open(path, "rb") as file:
        return file.read(header.SIZE_BYTES)


def _is_rot(data: Memory, piece: Piece, sequence: int) -> bool:
    """Tell whether a later record says that these bad bytes were durable; if none does, they are a torn tail."""
    head = header.decode(data[: header.SIZE_BYTES])
    if head is None:
        return True
    return tail.find_witness(data[piece.offset :], piece.offset, head.seed, sequence) is not None
