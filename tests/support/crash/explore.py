"""Explore: crash a workload after every one of its steps, in every way, and reopen.

The oracle is one line: what a reopened store shows is the model's state s, for some s from the last that was promised
to the last that was issued. What was promised is more after a kill (all that was acknowledged) than after a power
failure (all that was durable). A reopened store must also take another write, and show it when it is opened again.

Recovery is explored as well: a crash inside it must lead a second recovery to the same contents. And a program that is
killed, reopens, writes on and then loses power must lose nothing that was durable, nor what it was shown on reopening.

Cost: outcomes that leave the same bytes and names are opened once; both figures are counted.
"""

from dataclasses import dataclass, fields, replace
from random import Random
from typing import Final, NamedTuple, TypeAlias

from kvs.log.options import LogOptions
from support.crash import tested
from support.crash.crashdisk import CrashDisk
from support.crash.images import Outcome, outcomes
from support.crash.play import Player, play
from support.crash.run import Model, Run, Violation
from support.crash.state import DiskState
from support.crash.workload import Op, Workload

Found: TypeAlias = Model | str
FRESH_SALT: Final = 1_000_000
"""Where the salts of a reopened store begin: never where those of the store before did."""
PROBE: Final = (b"probe", b"one write more")
CONTINUATION: Final[tuple[Op, ...]] = (
    ("set", b"a", b"after the kill"),
    ("write", ((b"b", b"two"), (b"a", None))),
    ("compact",),
)


@dataclass(slots=True)
class Tally:
    """What was tried.

    Args:
        crashes: crash states of workloads,
        in_recovery: inside recovery, and
        after_kill: of programs that were killed, reopened, and then lost power.
        opened: how many of all these differed within their workload, and were opened.
    """

    crashes: int = 0
    in_recovery: int = 0
    after_kill: int = 0
    opened: int = 0

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Care(NamedTuple):
    """How much of the work is done.

    Args:
        probe_every: write once more to every n-th new crash state.
        recovery_every: crash the recovery of every n-th new crash state; 0 for none.
        kill_every: kill the program after every n-th step, go on and lose power; 0 for never.
    """

    probe_every: int = 1
    recovery_every: int = 1
    kill_every: int = 1


class Explorer:
    """Explores one run after the other.

    Args:
        care: how much of the work is done.
        seed: of the sampled subsets.
    """

    def __init__(self, care: Care, seed: int = 1) -> None:
        self.tally = Tally()
        self._care = care
        self._rng = Random(seed)
        self._seen: dict[frozenset[tuple[str, bytes]], Found] = {}
        self._options = LogOptions(sync="none")

    def explore(self, workload: Workload) -> Run:
        """Play a workload and crash it in every way.

        Raises:
            Violation: a promise was broken.
        """
        run = play(workload)
        self._seen.clear()
        self._options = replace(workload.options, sync="none")
        self._walk(run)
        return run

    def _walk(self, run: Run, via: str = "") -> None:
        """Go through a run's steps; `via` tells what was before it, and marks a walk within a walk."""
        state = run.base.clone()
        acked = durable = run.low
        issued = run.high
        for position, step in enumerate(run.steps):
            match step:
                case ("mark", "op", _):
                    continue
                case ("mark", kind, number):
                    issued = max(issued, number)
                    acked = acked if kind == "issued" else number
                    durable = number if kind == "durable" else durable
                case _:
                    state.apply(step)
            for outcome in outcomes(state, step, self._rng, is_brief=bool(via)):
                self._check(run, position, outcome, (durable if outcome.is_power else acked, issued), via)
            if not via and self._care.kill_every and position % self._care.kill_every == 0:
                self._kill_and_go_on(run, position, state, (acked, durable, issued))

    def _check(self, run: Run, position: int, outcome: Outcome, bounds: tuple[int, int], via: str) -> None:
        """Open what a crash left and hold it against the oracle."""
        known = len(self._seen)
        found = self._open(outcome.image)
        if via:
            self.tally.after_kill += 1
        else:
            self.tally.crashes += 1
        low, high = bounds
        if found not in run.states[low : high + 1]:
            raise Violation(run, position, outcome, found, run.states[low : high + 1], via)
        if via or len(self._seen) == known:
            return
        if self._care.recovery_every and len(self._seen) % self._care.recovery_every == 0:
            self._crash_in_recovery(run, position, outcome, found)

    def _open(self, image: dict[str, bytes]) -> Found:
        """Return what a store shows that opens these files; the same files are opened once."""
        key = frozenset(image.items())
        found = self._seen.get(key)
        if found is None:
            is_probed = len(self._seen) % self._care.probe_every == 0
            found = self._seen[key] = open_image(image, self._options, is_probed=is_probed)
            self.tally.opened += 1
        return found

    def _crash_in_recovery(self, run: Run, position: int, outcome: Outcome, found: Found) -> None:
        """Crash the recovery of a crash state at each of its steps; the next recovery must find the same."""
        state = DiskState(outcome.image)
        disk = CrashDisk(state.clone(), salt=2 * FRESH_SALT)
        tested.open_engine(disk, self._options)
        for number, step in enumerate(disk.steps):
            state.apply(step)
            for second in outcomes(state, step, self._rng):
                self.tally.in_recovery += 1
                again = self._open(second.image)
                if again != found:
                    via = f"{outcome.label}; then recovery, to its step {number}: {disk.steps[: number + 1]}"
                    allowed = [found] if isinstance(found, dict) else []
                    raise Violation(run, position, second, again, allowed, via)

    def _kill_and_go_on(self, run: Run, position: int, state: DiskState, bounds: tuple[int, int, int]) -> None:
        """Kill the program here, let the next one open the store and write, and crash that at every step."""
        acked, durable, issued = bounds
        base = state.clone()
        disk = CrashDisk(base.clone(), salt=3 * FRESH_SALT)
        player = Player(disk, run.workload.options, [])
        shown = dict(player.engine.items())
        numbers = [number for number in range(acked, issued + 1) if run.states[number] == shown]
        if not numbers:
            outcome = Outcome(is_power=False, label="a kill", image=base.shown())
            raise Violation(run, position, outcome, shown, run.states[acked : issued + 1])
        second = Run(run.workload, base, disk.steps, run.states[: numbers[-1] + 1], durable, numbers[-1])
        player.states = second.states
        player.note_durable()
        for op in CONTINUATION:
            player.do(op)
        self._walk(second, f"killed after step {position} {run.steps[position][:2]}, reopened, then {[*CONTINUATION]}")


def open_image(image: dict[str, bytes], options: LogOptions, *, is_probed: bool) -> Found:
    """Return what a store shows that opens these files, or the error; also when it does not keep one write more."""
    disk = CrashDisk(DiskState(image), salt=FRESH_SALT)
    try:
        engine = tested.open_engine(disk, options)
        found = dict(engine.items())
        if not is_probed:
            return found
        engine.set(*PROBE)
        engine.close()
        engine = tested.open_engine(disk, options)
        again = dict(engine.items())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what came back
        return f"{type(error).__name__}: {error}"
    return found if again == {**found, PROBE[0]: PROBE[1]} else f"one write more after {found} made it {again}"
