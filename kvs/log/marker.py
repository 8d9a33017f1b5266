"""The ENGINE file: which engine a directory belongs to, and in which format version.

Layout: one line of ASCII, the engine family, a space, the version in digits: "log 1". The engines log, rwlock and
lockfree share one format, so they share the family "log" and open what the others wrote.
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


def check(disk: Disk, names: list[str]) -> bool:
    """Tell whether a log store lives in the directory whose names these are.

    A directory with segments and no ENGINE file is one, too: each segment says of itself what it is.

    Raises:
        WrongEngineError: it belongs to another engine.
        UnsupportedFormatError: to this one, in a later version.
        CorruptRecordError: the ENGINE file makes no sense.
    """
    if ENGINE not in names:
        return bool(with_ending(names, "data"))
    data = disk.read(ENGINE)
    match = _LINE.fullmatch(data)
    if match is None:
        path = f"{disk.path}/{ENGINE}"
        raise CorruptRecordError(path, 0, expected="an engine and its version", found=repr(data[:80]))
    family, version = match[1].decode(), int(match[2])
    if family != FAMILY:
        raise WrongEngineError(disk.path, found=family, wanted=FAMILY)
    if version != VERSION:
        raise UnsupportedFormatError(f"{disk.path} is of format version {version}; this kvs reads version {VERSION}")
    return True


def write(disk: Disk, family: str = FAMILY) -> None:
    """Make the ENGINE file, or replace it, durably and at one instant."""
    disk.write(ENGINE_TEMPORARY, [f"{family} {VERSION}\n".encode()], sync=True)
    disk.rename(ENGINE_TEMPORARY, ENGINE)
    disk.sync_dir()
