"""Play: do a workload to a store on a CrashDisk, and note what was promised at each step.

Marks in the recording, each with the number of a state of the model:

    op        the operation begins                         (its number among the workload's)
    issued    a crash from now on may show this state
    acked     the write returned: a kill must not lose it
    durable   it is durable by its mode's promise: a power failure must not lose it
"""

from kvs.errors import KeyNotFoundError
from kvs.log.backup import Source, copy
from kvs.log.options import LogOptions
from kvs.log.turns import Ticket
from support.crash import tested
from support.crash.crashdisk import CrashDisk
from support.crash.run import Model, Run, Violation
from support.crash.state import DiskState
from support.crash.workload import Batch, Op, Workload


class Player:
    """Somebody who works with a store, and knows what it must hold.

    Args:
        disk: where the store lives.
        options: how it works.
        states: the model's states so far, the last being the present.
    """

    def __init__(self, disk: CrashDisk, options: LogOptions, states: list[Model]) -> None:
        self.disk = disk
        self.options = options
        self.states = states
        self.engine = tested.open_engine(disk, options)
        self._compactions = 0

    @property
    def present(self) -> int:
        """The number of the model's present state."""
        return len(self.states) - 1

    def do(self, op: Op) -> None:
        """Do one operation, and note what it promised when it returned."""
        match op:
            case ("set", key, value):
                self._issue(((key, value),))
                self.engine.set(key, value)
            case ("remove", key):
                self._remove(key)
            case ("write", batch):
                self._issue(batch)
                self.engine.write(batch)
            case ("group", batches):
                self._group(batches)
            case (name,):
                getattr(self, f"_{name}")()
        self.disk.mark("acked", self.present)
        if self.options.sync == "always" or op[0] in {"sync", "tick", "compact", "reopen", "kill"}:
            self.note_durable()

    def note_durable(self) -> None:
        """Note that all that was acknowledged is durable."""
        self.disk.mark("durable", self.present)

    def _issue(self, batch: Batch) -> None:
        state = dict(self.states[-1])
        for key, value in batch:
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        self.states.append(state)
        self.disk.mark("issued", self.present)

    def _remove(self, key: bytes) -> None:
        if key in self.states[-1]:
            self._issue(((key, None),))
            self.engine.remove(key)
            return
        try:
            self.engine.remove(key)
        except KeyNotFoundError:
            return
        raise AssertionError(f"removed {key!r}, which was not there")

    def _group(self, batches: tuple[Batch, ...]) -> None:
        """Let several writers meet: all but the last have put their tickets into the queue."""
        for batch in batches:
            self._issue(batch)
        if self.options.sync != "always":
            for batch in batches:
                self.engine.write(batch)
            return
        tickets = [Ticket(dict(batch), None) for batch in batches[:-1]]
        self.engine._turns.waiting.extend(tickets)
        self.engine.write(batches[-1])
        for ticket in tickets:
            assert ticket.is_done
            if ticket.error is not None:
                raise ticket.error

    def _sync(self) -> None:
        self.engine.sync()

    def _tick(self) -> None:
        self.engine._sync_now_and_then()

    def _compact(self) -> None:
        self._compactions += 1
        tested.compact(self.engine, self._compactions, self._write_beside)

    def _write_beside(self, batch: Batch) -> None:
        """Write while a compaction is under way."""
        self._issue(batch)
        self.engine.write(batch)
        self.disk.mark("acked", self.present)
        if self.options.sync == "always":
            self.note_durable()

    def _reopen(self) -> None:
        self.engine.close()
        self.note_durable()
        self.engine = tested.open_engine(self.disk, self.options)

    def _kill(self) -> None:
        self.disk.locks.clear()
        self.engine = tested.open_engine(self.disk, self.options)

    def _backup(self) -> None:
        """Copy the store, as `backup` does but to a disk in memory; hold the copy against the model."""
        engine, dest = self.engine, CrashDisk(DiskState())
        engine._writer.seal()
        engine._writer.write_due_hint()
        copy([Source(each.name, each.memory, each.end) for each in engine._writer.segments], dest)
        with tested.open_engine(dest, self.options) as copied:
            assert dict(copied.items()) == self.states[-1], "the backup differs"


def play(workload: Workload) -> Run:
    """Play a workload from beginning to end.

    Raises:
        Violation: the living store did not show what was written to it.
    """
    run = Run(workload, DiskState())
    disk = CrashDisk(DiskState())
    run.steps = disk.steps
    player = Player(disk, workload.options, run.states)
    for number, op in enumerate(workload.ops):
        disk.mark("op", number)
        try:
            player.do(op)
            found: Model | str = dict(player.engine.items())
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what came back
            found = f"{type(error).__name__}: {error}"
        if found != run.states[-1]:
            raise Violation(run, len(run.steps) - 1, None, found, run.states[-1:])
    disk.mark("op", len(workload.ops))
    player.engine.close()
    player.note_durable()
    return run
