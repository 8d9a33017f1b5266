"""Workload: what a program does with a store, drawn from a seed.

Operations:

    ("set", key, value)   ("remove", key)   ("write", ((key, value or None), …))
    ("group", (batch, …))      writers who meet in mode "always" and share a turn; one after the other elsewhere
    ("sync",)  ("tick",)       the caller's wish, and the interval's end
    ("compact",)  ("backup",)
    ("reopen",)  ("kill",)     close and open; die and open, with all that was not synced still in the page cache
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final, TypeAlias

from kvs.log.options import LogOptions, SyncMode

Op: TypeAlias = tuple[Any, ...]
Batch: TypeAlias = tuple[tuple[bytes, bytes | None], ...]
MODES: Final[tuple[SyncMode, ...]] = ("always", "interval", "none")
KEYS: Final = (b"a", b"b", b"key-3", b"", b"\x00\x01", b"k" * 24)
NEVER_S: Final = 1e6
WEIGHTS: Final = {
    "set": 46, "remove": 10, "write": 12, "group": 8, "sync": 4, "tick": 4, "compact": 6, "backup": 2, "reopen": 5,
    "kill": 5,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workload:
    """Operations, and the store they are done to."""

    seed: str
    options: LogOptions
    ops: tuple[Op, ...] = field(default=())

    def without(self, index: int) -> "Workload":
        """Return the same without one operation."""
        return replace(self, ops=self.ops[:index] + self.ops[index + 1 :])


def draw(seed: int, mode: SyncMode, length: int = 20) -> Workload:
    """Return the workload of a seed: the same today and tomorrow, on every Python."""
    name = f"{seed}:{mode}"
    rng = Random(name)
    options = LogOptions(
        sync=mode,
        sync_interval_s=NEVER_S,
        segment_bytes=rng.choice([100, 200, 320, 600]),
        compact_dead_bytes=rng.choice([60, 150, 400, 10_000]),
        compact_dead_ratio=rng.choice([0.3, 0.6]),
    )
    return Workload(name, options, tuple(_ops(rng, length)))


def _ops(rng: Random, length: int) -> Iterator[Op]:
    for kind in rng.choices([*WEIGHTS], [*WEIGHTS.values()], k=length):
        match kind:
            case "set":
                yield "set", rng.choice(KEYS), _value(rng)
            case "remove":
                yield "remove", rng.choice(KEYS)
            case "write":
                yield "write", _batch(rng, 4)
            case "group":
                yield "group", tuple(_batch(rng, 2) for _ in range(rng.randint(2, 3)))
            case _:
                yield (kind,)


def _batch(rng: Random, most: int) -> Batch:
    keys = rng.sample(KEYS, rng.randint(1, most))
    return tuple((key, None if rng.random() < 0.3 else _value(rng)) for key in keys)


def _value(rng: Random) -> bytes:
    """Return a value: empty, ending in zeros like unused room, full of what looks like records, or plain."""
    kind = rng.random()
    if kind < 0.1:
        return b""
    if kind < 0.25:
        return rng.randbytes(rng.randint(0, 4)) + bytes(rng.randint(1, 30))
    if kind < 0.4:
        return b"\x01\x00\x01\x00" * rng.randint(1, 8)
    return rng.randbytes(rng.randint(1, 40))
