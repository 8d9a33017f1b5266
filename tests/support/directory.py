"""A store's directory from outside: its segments, its size, copies of it, and damage done to it."""

import re
import shutil
from pathlib import Path


def segments(directory: Path) -> list[Path]:
    """Return the segments, oldest first: the files that end in `.data`, by the numbers in their names."""
    return sorted(directory.glob("*.data"), key=lambda path: [int(number) for number in re.findall(r"\d+", path.stem)])


def total_bytes(directory: Path) -> int:
    """Return how many bytes all files hold together."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def contents(directory: Path) -> dict[str, bytes]:
    """Return every file's bytes, by its path within the directory."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def put(directory: Path, files: dict[str, bytes]) -> Path:
    """Make the directory hold exactly these files, and return it."""
    shutil.rmtree(directory, ignore_errors=True)
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def flipped(data: bytes, bit: int) -> bytes:
    """Return the bytes with one bit turned over, counted from the first byte's lowest.

    >>> flipped(b"A", 1)
    b'C'
    """
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def without_room(data: bytes) -> bytes:
    """Return a segment's bytes without the zeros that a store may keep behind its end while it is open."""
    return data.rstrip(b"\0")
