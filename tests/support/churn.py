"""Churn: many threads read and write one store, and note when each operation began, when it ended, and what came back.

Registers, see support.linear: some that every thread writes; some that belong to one thread, which removes them as
well; and pairs of keys that belong to one thread, which writes them together.
"""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter_ns
from typing import Final

from kvs import Engine
from support.linear import Operation, fault_of_owned, fault_of_shared

SWITCH_INTERVAL_S: Final = 1e-6
DEADLINE_S: Final = 120.0
READS_OF_TEN: Final = 7


@dataclass(frozen=True, slots=True)
class Register:
    """One thing that is written as a whole: its keys, and the thread that alone writes them, or None for all."""

    keys: tuple[bytes, ...]
    owner: int | None


@dataclass(slots=True)
class Log:
    """What one thread did, by register."""

    writes: dict[Register, list[Operation]] = field(default_factory=dict)
    reads: dict[Register, list[Operation]] = field(default_factory=dict)
    failure: BaseException | None = None


@dataclass(slots=True)
class Churn:
    """A history under way.

    Args:
        threads: how many take part.
        seed: of their choices.
        has_pairs: whether there are pairs, for which the store has to know `write`.
    """

    threads: int = 8
    seed: str = "1"
    has_pairs: bool = True
    logs: list[Log] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    _versions: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.registers += [Register((b"shared%d" % number,), None) for number in range(3)]
        for owner in range(self.threads):
            self.registers.append(Register((b"own%d" % owner,), owner))
            if self.has_pairs:
                self.registers.append(Register((b"pair%d-x" % owner, b"pair%d-y" % owner), owner))

    def run(self, store: Engine, operations: int) -> None:
        """Let each thread do so many operations, switching as often as Python can; raise what a thread raised."""
        logs = [Log() for _ in range(self.threads)]
        start = threading.Barrier(self.threads)
        threads = [
            threading.Thread(target=self._work, args=(store, number, log, operations, start), daemon=True)
            for number, log in enumerate(logs)
        ]
        with switching_often():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE_S)
        assert not any(thread.is_alive() for thread in threads), "the threads do not end"
        self.logs += logs
        for log in logs:
            if log.failure is not None:
                raise log.failure
        self.look(store)

    def look(self, store: Engine) -> None:
        """Read every register, as a part of the history."""
        log = Log()
        for register in self.registers:
            for key in register.keys:
                _read(store, register, key, log)
        self.logs.append(log)

    @property
    def size(self) -> int:
        """How many operations there were."""
        return sum(len(some) for log in self.logs for kind in (log.writes, log.reads) for some in kind.values())

    def faults(self) -> list[str]:
        """Return what was not linearizable, register by register."""
        found = []
        for register in self.registers:
            writes = sorted(
                (each for log in self.logs for each in log.writes.get(register, ())), key=lambda it: it.begin
            )
            reads = [each for log in self.logs for each in log.reads.get(register, ())]
            fault = (fault_of_shared if register.owner is None else fault_of_owned)(writes, reads)
            if fault is not None:
                found.append(f"{register.keys}: {fault}")
        return found

    def _work(self, store: Engine, me: int, log: Log, operations: int, start: threading.Barrier) -> None:
        rng = random.Random(f"{self.seed}:{me}:{len(self.logs)}")
        mine = [register for register in self.registers if register.owner in {None, me}]
        there = {register for register in mine if store.get(register.keys[0]) is not None}
        try:
            start.wait(DEADLINE_S)
            for _ in range(operations):
                if rng.random() * 10 < READS_OF_TEN:
                    register = rng.choice(self.registers)
                    _read(store, register, rng.choice(register.keys), log)
                else:
                    self._write(store, rng.choice(mine), there, log, rng)
        except BaseException as error:  # noqa: BLE001  # `run` raises it
            log.failure = error
            start.abort()

    def _write(self, store: Engine, register: Register, there: set[Register], log: Log, rng: random.Random) -> None:
        is_removal = register.owner is not None and register in there and rng.random() < 0.3
        version = None if is_removal else next(self._versions)
        value = None if version is None else b"%d" % version
        deed = _deed(store, register.keys, value)
        begin = perf_counter_ns()
        deed()
        end = perf_counter_ns()
        log.writes.setdefault(register, []).append(Operation(begin, end, version))
        (there.discard if is_removal else there.add)(register)


def _deed(store: Engine, keys: tuple[bytes, ...], value: bytes | None) -> Callable[[], object]:
    """Return the call that writes a register."""
    if len(keys) > 1:
        return lambda: store.write([(key, value) for key in keys])
    if value is None:
        return lambda: store.remove(keys[0])
    return lambda: store.set(keys[0], value)


def _read(store: Engine, register: Register, key: bytes, log: Log) -> None:
    begin = perf_counter_ns()
    value = store.get(key)
    end = perf_counter_ns()
    version = None if value is None else int(value)
    log.reads.setdefault(register, []).append(Operation(begin, end, version))


@contextmanager
def switching_often() -> Iterator[None]:
    """Let Python switch threads every microsecond, where it would after five milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
