"""Limits that the operating system sets to this process for a while: no room, no rights."""

import contextlib
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65_534


@contextlib.contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: a disk that is full at a known byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_rights(path: Path) -> Iterator[None]:
    """Let this process, though it be root's, have no right to write in a directory."""
    is_root = os.geteuid() == 0
    above = [path, *path.parents] if is_root else [path]
    modes = [(each, stat.S_IMODE(each.stat().st_mode)) for each in above if each.stat().st_uid == os.geteuid()]
    for each, mode in modes:
        each.chmod(mode & ~0o222 | 0o555 if each == path else mode | 0o111)
    try:
        if is_root:
            os.seteuid(NOBODY)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for each, mode in modes:
            each.chmod(mode)
