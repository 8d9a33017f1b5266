"""Files that commands read and write beside the store: a pipe can be read twice, and output is whole or absent."""
# ruff: noqa: PLC0415  # tempfile and shutil are imported for the pipe that needs them

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def opened_source(file: str, *, is_read_twice: bool) -> Iterator[BinaryIO]:
    """Open a file to read; - is stdin.

    Args:
        file: its name.
        is_read_twice: whether the block seeks; what cannot be sought, such as a pipe, is first kept in a file.
    """
    with _opened(file) as source:
        if source.seekable() or not is_read_twice:
            yield source
            return
        from shutil import copyfileobj
        from tempfile import TemporaryFile

        with TemporaryFile() as kept:
            copyfileobj(source, kept)
            kept.seek(0)
            yield kept


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """Open a file to read, or lend stdin, which is not closed."""
    if file != "-":
        with open(file, "rb") as source:
            yield source
    elif sys.stdin is None:
        raise OSError("stdin is closed")
    else:
        yield sys.stdin.buffer


@contextmanager
def opened_target(file: str) -> Iterator[BinaryIO]:
    """Open a file to write; what was there before stays until the block has ended well.

    Args:
        file: its name; a device or a named pipe is written to as it is.
    """
    if os.path.exists(file) and not stat.S_ISREG(os.stat(file).st_mode):
        with open(file, "wb") as target:
            yield target
        return
    path = os.path.realpath(file)  # through a link, so that the link stays one
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
