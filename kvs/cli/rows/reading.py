"""Reading rows from a file: once to see that all are well-formed, once more for their pairs, a batch at a time."""

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, Final

from kvs.cli.rows.formats import Codec
from kvs.cli.rows.row import Pair, Row
from kvs.cli.text import InputError, warn
from kvs.engine import Progress

BATCH_BYTES: Final = 4 * 1024 * 1024
_PROGRESS_ROWS: Final = 1_000


class Reading:
    """The rows of one file.

    Args:
        name: what error messages call the file.
        source: the file; it has to be seekable for `validate`.
        codec: how it is read.
        progress: told of the bytes read.
    """

    def __init__(self, name: str, source: BinaryIO, codec: Codec, progress: Progress) -> None:
        self.skipped = 0
        self._name = name
        self._source = source
        self._codec = codec
        self._progress = progress
        status = os.fstat(source.fileno())
        self._size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._read_bytes = 0

    def validate(self) -> None:
        """Read all rows, and go back to the beginning.

        Raises:
            InputError: a line is malformed; the message names file, line, what was expected, and what was found.
        """
        start = self._source.tell()
        for row in self._rows():
            if row.pair is None:
                raise InputError(self._complaint(row))
        self._source.seek(start)

    def batches(self, most_pairs: int) -> Iterator[list[Pair]]:
        """Yield the pairs in batches that are bounded in number and in bytes; skip, tell and count malformed lines."""
        batch: list[Pair] = []
        size_bytes = 0
        for row in self._rows():
            if row.pair is None:
                warn(f"kvs: {self._complaint(row)}")
                self.skipped += 1
                continue
            size_bytes += len(row.pair[0]) + len(row.pair[1])
            batch.append(row.pair)
            if len(batch) >= most_pairs or size_bytes >= BATCH_BYTES:
                yield batch
                batch, size_bytes = [], 0
        if batch:
            yield batch

    def _rows(self) -> Iterator[Row]:
        """Read the rows, telling how far the reading is."""
        self._read_bytes = 0
        for count, row in enumerate(self._codec.decode(self._lines())):
            if count % _PROGRESS_ROWS == 0:
                self._progress(self._read_bytes, self._size_bytes)
            yield row

    def _lines(self) -> Iterator[bytes]:
        """Read the lines, counting their bytes; a pipe cannot be asked where it is."""
        for line in self._source:
            self._read_bytes += len(line)
            yield line

    def _complaint(self, row: Row) -> str:
        """Return the error line for a malformed row."""
        return f"{self._name}:{row.line}: {row.fault}"
