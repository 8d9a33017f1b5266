"""Machine: a hypothesis state machine that holds a store against a dict, through kills and power failures."""

from random import Random
from typing import Any

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from kvs.errors import KeyNotFoundError
from kvs.log.options import LogOptions, SyncMode
from support.crash import tested
from support.crash.crashdisk import CrashDisk
from support.crash.images import outcomes
from support.crash.run import Model
from support.crash.state import DiskState
from support.crash.workload import MODES, NEVER_S

KEYS = st.sampled_from([b"", b"a", b"b", b"key", b"\x00\xff", b"k" * 40])
VALUES = st.binary(max_size=60)
BATCHES = st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=5)
STEPS_EACH = 50


class Machine(RuleBasedStateMachine):
    """A store on a CrashDisk, beside the states that it may be in.

    `states` are those since the last durable one, that included; the last is the present.
    """

    steps_done = 0  # by all machines of this process

    @initialize(mode=st.sampled_from(MODES), segment_bytes=st.sampled_from([100, 300, 1_000]), salt=st.integers(0, 999))
    def begin(self, mode: SyncMode, segment_bytes: int, salt: int) -> None:
        """Open a new store."""
        self.options = LogOptions(mode, NEVER_S, segment_bytes, compact_dead_bytes=300)
        self.salt = salt
        self.states: list[Model] = [{}]
        self._open(DiskState())

    def _open(self, state: DiskState) -> None:
        self.salt += 1_000_000
        self.disk = CrashDisk(state, salt=self.salt)
        self.store = tested.open_engine(self.disk, self.options)

    def _done(self, state: Model, *, is_durable: bool = False) -> None:
        """Note the present state, and look whether the store agrees."""
        Machine.steps_done += 1
        is_durable = is_durable or self.options.sync == "always"
        self.states = [state] if is_durable else [*self.states, state]
        assert dict(self.store) == state

    @rule(key=KEYS, value=VALUES)
    def set(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        self.store.set(key, value)
        self._done({**self.states[-1], key: value})

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        """Remove a key, there or not."""
        state = dict(self.states[-1])
        try:
            self.store.remove(key)
        except KeyNotFoundError:
            assert key not in state
        else:
            del state[key]
        self._done(state)

    @rule(ops=BATCHES)
    def write(self, ops: list[tuple[bytes, bytes | None]]) -> None:
        """Do a batch."""
        self.store.write(ops)
        state: dict[bytes, bytes | None] = {**self.states[-1], **dict(ops)}
        self._done({key: value for key, value in state.items() if value is not None})

    @rule(key=KEYS, prefix=st.binary(max_size=1))
    def read(self, key: bytes, prefix: bytes) -> None:
        """Get a key, and scan a prefix."""
        state = self.states[-1]
        assert self.store.get(key) == state.get(key)
        assert [*self.store.scan(prefix=prefix)] == sorted(pair for pair in state.items() if pair[0].startswith(prefix))
        Machine.steps_done += 1

    @rule(name=st.sampled_from(["sync", "compact", "_sync_now_and_then"]))
    def make_durable(self, name: str) -> None:
        """Sync, compact, or let the interval end."""
        getattr(self.store, name)()
        self._done(self.states[-1], is_durable=True)

    @rule()
    def reopen(self) -> None:
        """Close and open."""
        self.store.close()
        self._open(self.disk.state)
        self._done(self.states[-1], is_durable=True)

    @rule()
    def kill(self) -> None:
        """Die and open; the page cache has it all."""
        self._open(self.disk.state)
        self._done(self.states[-1], is_durable=True)

    @rule(seed=st.integers(0, 1 << 30))
    def lose_power(self, seed: int) -> None:
        """Lose power: some of what was not durable is gone."""
        rng = Random(seed)
        last: tuple[Any, ...] = self.disk.steps[-1] if self.disk.steps else ("mark",)
        images = [outcome.image for outcome in outcomes(self.disk.state, last, rng) if outcome.is_power]
        self._open(DiskState(rng.choice(images)))
        found = dict(self.store)
        assert found in self.states, f"after a power failure: {found}, which is none of {self.states}"
        self._done(found, is_durable=True)


def run_machine(examples: int, seed: int = 0) -> int:
    """Run so many machines of up to 50 steps each; return how many steps were done."""
    Machine.steps_done = 0
    hypothesis.seed(seed)(Machine)
    how = settings(
        max_examples=examples,
        stateful_step_count=STEPS_EACH,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    run_state_machine_as_test(Machine, settings=how)
    return Machine.steps_done
