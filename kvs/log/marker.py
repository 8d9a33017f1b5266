"""The ENGINE file: which engine a directory belongs to, and in which format version.

Layout: one line of ASCII, the engine family, a space, the version in digits: "log 1". The engines log, rwlock and
lockfree share one format, so they share the family "log" and open what the others wrote. An engine with a format of
its own has a family of its own, and the same file.
"""

import re
from typing import Final

from kvs.errors import CorruptRecordError, UnsupportedFormatError, WrongEngineError
from kvs.log.disk import Disk
from kvs.log.files import ENGINE, ENGINE_TEMPORARY, with_ending
from kvs.log.header import VERSION

FAMILY: Final = "log"
UNFINISHED: Final = "unfinished-copy"
"""What the file says while a backup or a repair is making the store."""
_LINE: Final = re.compile(rb"([a-z][a-z0-9-]{0,63}) ([0-9]{1,9})\n")


def read(disk: Disk, names: list[str]) -> tuple[str, int] | None:
    """Return the family and the version of the store whose directory has these names, or None if there is no store.

    A directory with segments and no ENGINE file is a log's: each segment says of itself what it is.

    Raises:
        CorruptRecordError: the ENGINE file makes no sense.
    """
    if ENGINE not in names:
        return (FAMILY, VERSION) if with_ending(names, "data") else None
    data = disk.read(ENGINE)
    match = _LINE.fullmatch(data)
    if match is None:
        path = f"{disk.path}/{ENGINE}"
        raise CorruptRecordError(path, 0, expected="an engine and its version", found=repr(data[:80]))
    return match[1].decode(), int(match[2])


def check(disk: Disk, names: list[str], family: str = FAMILY, version: int = VERSION) -> bool:
    """Tell whether a store of this family lives in the directory whose names these are.

    Raises:
        WrongEngineError: it belongs to another engine.
        UnsupportedFormatError: to this one, in a later version.
        CorruptRecordError: the ENGINE file makes no sense.
    """
    said = read(disk, names)
    if said is None:
        return False
    if said[0] != family:
        raise WrongEngineError(disk.path, found=said[0], wanted=family)
    if said[1] != version:
        raise UnsupportedFormatError(f"{disk.path} is of format version {said[1]}; this kvs reads version {version}")
    return True


def write(disk: Disk, family: str = FAMILY, version: int = VERSION) -> None:
    """Make the ENGINE file, or replace it, durably and at one instant."""
    disk.write(ENGINE_TEMPORARY, [f"{family} {version}\n".encode()], sync=True)
    disk.rename(ENGINE_TEMPORARY, ENGINE)
    disk.sync_dir()
