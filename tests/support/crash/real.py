"""Real: the same workload on the disk of the operating system, call by call, to see that CrashDisk is no fancy.

    python -m support.crash.real DIRECTORY SEED MODE

1. Plays the workload on a CrashDisk, and again on an OsDisk whose calls to the system are noted; both must be the same
   calls in the same order, and leave the same bytes.
2. Plays it again in forks that end, by `os._exit`, before their n-th call, for every n; each must leave the files that
   the recording has at that step, which is what the explorer takes a kill to leave.

Prints one line of JSON: how many calls, how many deaths, and what differed. Salts are counted, as on a CrashDisk, for
the bytes to be the same. The process that forks has no thread.
"""

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock
from zlib import crc32

from kvs.errors import KeyNotFoundError
from kvs.log.disk import OsDisk
from kvs.log.files import LOCK
from kvs.log.store import LogEngine
from support.crash import tested
from support.crash.play import play
from support.crash.scale import small_measures
from support.crash.state import DiskState, Step
from support.crash.workload import MODES, Op, Workload, draw

DIED: Final = 77
OPS: Final = 14


class Calls:
    """Notes the calls that change something on the disk, and dies before the n-th.

    Args:
        root: the store's directory; calls elsewhere, and those for the lock, are nobody's business.
        dies_at: the number of the call before which to die, from 1; 0 for none.
    """

    def __init__(self, root: Path, dies_at: int = 0) -> None:
        self.steps: list[Step] = []
        self._root = root
        self._dies_at = dies_at
        self._names: dict[int, str] = {}  # of open descriptors

    def note(self, *step: object) -> None:
        """Note a call, or die before it."""
        if len(self.steps) + 1 == self._dies_at:
            os._exit(DIED)
        self.steps.append(step)

    def open(self, real: Callable[..., int], path: str, flags: int, *rest: Any) -> int:
        """Stand in for os.open."""
        name = os.path.basename(path)
        if flags & os.O_TRUNC:
            self.note("create", name)
        fd = real(path, flags, *rest)
        self._names[fd] = "" if flags & os.O_DIRECTORY else name
        return fd

    def resize(self, real: Callable[..., None], fd: int, *numbers: int) -> None:
        """Stand in for os.ftruncate and os.posix_fallocate."""
        if self._names[fd] != LOCK:
            self.note("resize", self._names[fd], sum(numbers))
        real(fd, *numbers)

    def write(self, real: Callable[..., int], fd: int, data: bytes) -> int:
        """Stand in for os.write."""
        self.note("append", self._names[fd], bytes(data))
        return real(fd, data)

    def sync(self, real: Callable[..., None], fd: int) -> None:
        """Stand in for os.fsync and os.fdatasync."""
        self.note("sync", self._names[fd]) if self._names[fd] else self.note("sync_dir")
        real(fd)

    def rename(self, real: Callable[..., None], old: str, new: str) -> None:
        """Stand in for os.rename."""
        self.note("rename", os.path.basename(old), os.path.basename(new))
        real(old, new)

    def unlink(self, real: Callable[..., None], path: str) -> None:
        """Stand in for os.unlink."""
        self.note("unlink", os.path.basename(path))
        real(path)


@contextlib.contextmanager
def listening(calls: Calls) -> Iterator[None]:
    """Let all calls of this process pass by `calls`; salts are counted meanwhile."""
    standing_in: dict[str, Callable[..., Any]] = {
        "open": calls.open, "ftruncate": calls.resize, "posix_fallocate": calls.resize, "write": calls.write,
        "fsync": calls.sync, "fdatasync": calls.sync, "rename": calls.rename, "unlink": calls.unlink,
    }  # fmt: skip
    salts = itertools.count(1)
    with contextlib.ExitStack() as stack:
        for name, stand_in in standing_in.items():
            real = getattr(os, name)
            stack.enter_context(mock.patch.object(os, name, _bound(stand_in, real)))
        salt = lambda _: crc32(next(salts).to_bytes(4, "little")).to_bytes(4, "little")  # noqa: E731  # of one use
        stack.enter_context(mock.patch.object(os, "urandom", salt))
        yield


def _bound(stand_in: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: stand_in(real, *args)


def do_for_real(workload: Workload, root: Path) -> None:
    """Play a workload on the operating system's disk."""
    engine = tested.open_engine(OsDisk(root), workload.options)
    compactions = itertools.count(1)
    for op in workload.ops:
        if op[0] == "compact":
            tested.compact(engine, next(compactions), engine.write)
        elif op[0] == "reopen":
            engine.close()
            engine = tested.open_engine(OsDisk(root), workload.options)
        else:
            _do(engine, op)
    engine.close()


def _do(engine: LogEngine, op: Op) -> None:
    match op:
        case ("set", key, value):
            engine.set(key, value)
        case ("remove", key):
            with contextlib.suppress(KeyNotFoundError):
                engine.remove(key)
        case ("write", batch):
            engine.write(batch)
        case ("tick",):
            engine._sync_now_and_then()
        case (name,):
            getattr(engine, name)()


def without_crashes(workload: Workload) -> Workload:
    """Return the workload as one living process can do it alone."""
    ops = tuple(op for op in workload.ops if op[0] not in {"kill", "group", "backup"})
    return Workload(workload.seed, workload.options, ops)


def recorded(steps: list[Step]) -> list[Step]:
    """Return a recording as calls to the system: stores to mapped memory are none, and files go by name."""
    names: dict[int, str] = {}
    calls: list[Step] = []
    for step in steps:
        match step:
            case ("create", name, inode):
                names[inode] = name
                calls.append(("create", name))
            case ("sync" | "resize" | "append" as kind, inode, *rest):
                calls.append((kind, names[inode], *rest))
            case ("rename", old, new):
                names = {inode: new if name == old else name for inode, name in names.items()}
                calls.append(step)
            case ("store" | "mark", *_):
                continue
            case _:
                calls.append(step)
    return calls


def files_in(root: Path) -> dict[str, bytes]:
    """Return the bytes of a store's files, the lock apart."""
    return {path.name: path.read_bytes() for path in root.iterdir() if path.name != LOCK}


def images_before_calls(steps: list[Step]) -> Iterator[dict[str, bytes]]:
    """Return what the recording's disk shows before each call, and at the end."""
    state = DiskState()
    for step in steps:
        if step[0] not in {"store", "mark"}:
            yield state.shown()
        state.apply(step)
    yield state.shown()


def main(directory: str, seed: str, mode: str) -> None:
    """Compare one workload's recording with reality, whole and ended at every call."""
    workload = without_crashes(draw(int(seed), next(each for each in MODES if each == mode), OPS))
    with small_measures():
        steps = play(workload).steps
        whole = Path(directory, "whole")
        whole.mkdir(parents=True)
        calls = Calls(whole)
        with listening(calls):
            do_for_real(workload, whole)
        differences = [
            f"call {number}: {real}, recorded {said}"
            for number, (real, said) in enumerate(itertools.zip_longest(calls.steps, recorded(steps)), 1)
            if real != said
        ]
        images = [*images_before_calls(steps)]
        if files_in(whole) != images[-1]:
            differences.append("the files differ at the end")
        for number, image in enumerate(images[:-1], 1):
            root = Path(directory, str(number))
            root.mkdir()
            if die_at(number, workload, root) != DIED:
                differences.append(f"the run to call {number} did not die there")
            elif files_in(root) != image:
                differences.append(f"ended before call {number}, the files differ from the recording's")
    told = {"calls": len(calls.steps), "deaths": len(images) - 1, "differences": differences[:5]}
    sys.stdout.write(json.dumps(told) + "\n")


def die_at(number: int, workload: Workload, root: Path) -> int:
    """Play a workload in a fork that ends before its n-th call; return its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            with listening(Calls(root, number)):
                do_for_real(workload, root)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
