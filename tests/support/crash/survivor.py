"""Survivor: a program that goes on after each error from the disk, to see that nothing acknowledged is lost.

The oracle:

    1. Each error is a KvsError.
    2. Reads go on: they show what was acknowledged. A write that raised may show its effect after reopening, or not.
    3. After a failed fsync of the log, writes are refused until the store is reopened.
    4. When there is room again after a full disk, writes are taken again.
    5. After a kill every acknowledged write is there; after a power failure what was durable by the mode's promise.
"""

import errno
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from kvs.errors import KvsError, StorageError, WritesRefusedError
from kvs.log.store import LogEngine
from kvs.log.turns import Ticket
from support.crash import tested
from support.crash.crashdisk import CrashDisk
from support.crash.explore import FRESH_SALT
from support.crash.faults import Fault
from support.crash.run import Model
from support.crash.state import DiskState
from support.crash.workload import Op, Workload

Written: TypeAlias = dict[bytes, bytes | None]
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
SYNCS: Final = frozenset({"sync", "sync_dir"})


class BrokenPromise(Exception):  # noqa: N818  # as Violation
    """The oracle's verdict, in words."""


class Survivor:
    """A program that goes on after each error, and knows what may be in the store.

    Args:
        workload: what it does.
        fault: what happens to it.
    """

    def __init__(self, workload: Workload, fault: Fault) -> None:
        self.workload = workload
        self.fault = fault
        self.disk = CrashDisk(DiskState(), fault=fault)
        self.engine: LogEngine | None = None
        self.acked: Model = {}  # what the living store must show
        self.unknown: list[Model] = []  # what raised meanwhile, and may be there after reopening, one after the other
        self.durable: list[Model] = [{}]  # every state since the last that is durable, that included
        self.was_writable = True  # before the write at hand
        self.must_refuse = False

    def live(self) -> None:
        """Do the workload, then see what a kill and a power failure would leave.

        Raises:
            BrokenPromise: one was.
        """
        for op in self.workload.ops:
            self._step(op)
        self._crash(is_power=False)
        self._crash(is_power=True)
        if self.engine is not None:
            self._resume()
            self._attempt(self.engine.close)

    def _step(self, op: Op) -> None:
        if self.engine is None:
            self._open()
        elif op[0] in {"reopen", "kill"}:
            self._leave(is_kill=op[0] == "kill")
            self._open()
        elif op[0] in {"sync", "tick", "compact"}:
            self._make_durable(op[0])
        elif op[0] != "backup":
            self._write(op)
        if self.engine is not None:
            self._read()

    def _write(self, op: Op) -> None:
        """Do an operation that writes: those of a group in turn, or sharing one in mode "always"."""
        engine = self.engine
        assert engine is not None
        batches = _batches(op)
        if len(batches) == 1 or self.workload.options.sync != "always":
            for batch in batches:
                self._look(engine)
                self._note([batch], [self._attempt(partial(engine.write, batch.items()))])
            return
        self._look(engine)
        tickets = [Ticket(batch, None) for batch in batches[:-1]]
        engine._turns.waiting.extend(tickets)
        last = self._attempt(lambda: engine.write(batches[-1].items()))
        for ticket in tickets:
            if ticket.error is not None:
                self._see(ticket.error)
        self._note(batches, [*(ticket.error for ticket in tickets), last])

    def _look(self, engine: LogEngine) -> None:
        """Look before a write whether writes are taken, and whether they must be refused."""
        self.was_writable = engine._writer.is_writable
        self.must_refuse = self._has_lost_a_sync()

    def _note(self, batches: list[Written], errors: list[KvsError | None]) -> None:
        """Note what came of writes.

        Those who share an error were all in the log when it came, one after the other. So were those that are refused
        though writes were taken when they came: an fsync failed in between.
        """
        chain = self.acked
        for batch, error in zip(batches, errors, strict=True):
            after = {key: value for key, value in {**chain, **batch}.items() if value is not None}
            if error is None:
                if self.must_refuse:
                    raise BrokenPromise(f"wrote after a failed fsync {self.fault.failed}")
                self.acked = chain = after
                self.durable = [after] if self.workload.options.sync == "always" else [*self.durable, after]
                self.unknown.clear()
            elif self.was_writable:
                self.unknown.append(after)
                if sum(other is error for other in errors) > 1 or isinstance(error, WritesRefusedError):
                    chain = after

    def _has_lost_a_sync(self) -> bool:
        """Tell whether an fsync of the log or its names failed since this store was opened, so that it must refuse."""
        return any(call == "sync" and name.endswith(".data") for call, name in self.fault.failed[self._failed_before :])

    def _make_durable(self, name: str) -> None:
        engine = self.engine
        assert engine is not None
        count = len(self.fault.failed)
        deed = {"sync": engine.sync, "tick": engine._sync_now_and_then, "compact": engine.compact}[name]
        error = self._attempt(deed)
        if error is None and len(self.fault.failed) == count and not self._has_lost_a_sync():
            self.durable = [self.acked]

    def _open(self) -> None:
        """Open the store; what it shows is one of the states that it may show, and the present from now on."""
        self._failed_before = len(self.fault.failed)
        self.disk.locks.clear()
        try:
            self.engine = tested.open_engine(self.disk, self.workload.options)
        except KvsError as error:
            self._see(error)
            self.engine = None
            return
        found = dict(self.engine.items())
        if found != self.acked and found not in self.unknown:
            raise BrokenPromise(f"reopened, it shows {found}, not {self.acked}, nor one of {self.unknown}")
        self.acked = found
        self.unknown.clear()
        self.durable = [found]  # recovery leaves durable what it shows

    def _leave(self, *, is_kill: bool) -> None:
        engine = self.engine
        if engine is not None and not is_kill:
            self._attempt(engine.close)
        self.engine = None

    def _attempt(self, deed: Callable[[], object]) -> KvsError | None:
        """Do something, and return the error that it raised."""
        try:
            deed()
        except KvsError as error:
            self._see(error)
            return error
        except Exception as error:
            raise BrokenPromise(f"after {self.fault.failed} {type(error).__name__}: {error}") from error
        return None

    def _see(self, error: KvsError) -> None:
        """Hold an error against the contract: a fault is a StorageError with its cause, or follows from one."""
        if not isinstance(error, StorageError) or not self.fault.failed:
            raise BrokenPromise(f"{type(error).__name__} out of nothing: {error}") from error

    def _read(self) -> None:
        assert self.engine is not None
        found = dict(self.engine.items())
        if found != self.acked:
            raise BrokenPromise(f"the living store shows {found}, not {self.acked}")

    def _resume(self) -> None:
        """See that a store that only met a full disk writes again, now that there is room."""
        engine = self.engine
        assert engine is not None
        self.fault.is_over = True
        was_only_full = self.fault.number in FULL and not any(call in SYNCS for call, _ in self.fault.failed)
        before_commit = all(
            call not in {"rename", "open", "truncate", "list", "unlink"} for call, _ in self.fault.failed
        )
        if was_only_full and before_commit:
            try:
                engine.set(b"room", b"again")
            except KvsError as error:
                raise BrokenPromise(f"there is room again, yet: {error}") from error

    def _crash(self, *, is_power: bool) -> None:
        """Open what a crash would leave now, on a disk without faults."""
        state = self.disk.state
        image = state.shown()
        allowed = [self.acked, *self.unknown]
        if is_power:
            image = {name: state.inodes[inode].durable for name, inode in state.durable_names.items()}
            allowed = [*self.durable, *self.unknown]
        try:
            found = dict(
                tested.open_engine(CrashDisk(DiskState(image), salt=FRESH_SALT), self.workload.options).items()
            )
        except KvsError as error:
            raise BrokenPromise(
                f"after {'power failed' if is_power else 'a kill'} it does not open: {error}"
            ) from error
        if found not in allowed:
            raise BrokenPromise(f"after {'power failed' if is_power else 'a kill'} it shows {found}, not of {allowed}")


def _batches(op: Op) -> list[Written]:
    match op:
        case ("set", key, value):
            return [{key: value}]
        case ("remove", key):
            return [{key: None}]
        case ("write", batch):
            return [dict(batch)]
        case _:
            return [*map(dict, op[1])]


def calls_of(workload: Workload) -> int:
    """Return how many calls to the disk a workload makes when none fails."""
    fault = Fault()
    Survivor(workload, fault).live()
    return len(fault.calls)
