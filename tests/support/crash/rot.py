"""Rot: damage a store that was closed cleanly, in every small way, and open it.

The oracle: an error is fine, at opening or at reading; a wrong value is not, nor a key that is missing or added, with
no error to tell of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

from kvs.errors import KvsError
from kvs.log.options import LogOptions
from support.crash import tested
from support.crash.crashdisk import CrashDisk
from support.crash.play import play
from support.crash.run import Model
from support.crash.state import DiskState
from support.crash.workload import NEVER_S, Op, Workload, draw

SECTORS: Final = (64, 128, 512)
"""None is smaller than the log's own idea of a sector, as `scale` has it: no disk damages less at once, bits apart."""


@dataclass(slots=True)
class RotTally:
    """What was tried, and what came of it.

    Args:
        cases: damaged stores.
        refused: how many of them said so when they were opened or read.
        wrong: those that did not, and showed something else than was written.
    """

    cases: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


def stores(seeds: range) -> Iterator[tuple[str, LogOptions, dict[str, bytes], Model]]:
    """Return small stores that were closed cleanly: merged segments, batches, several segments; half without hints."""
    for seed in seeds:
        workload = draw(seed, "none", 8)
        name, options, image, model = _closed(replace(workload, options=replace(workload.options, segment_bytes=320)))
        if seed % 2:
            image = {name: data for name, data in image.items() if not name.endswith(".hint")}
        yield name, options, image, model
    yield _closed(_aligned())


def _closed(workload: Workload) -> tuple[str, LogOptions, dict[str, bytes], Model]:
    run = play(workload)
    state = run.base.clone()
    for step in run.steps:
        state.apply(step)
    return workload.seed, workload.options, state.shown(), run.states[-1]


def _aligned() -> Workload:
    """Return a store whose records all fill a sector: swapped ones are sound records in the wrong place."""
    ops: list[Op] = [("set", b"pad.", b"pad.")]
    ops += [("set", b"key%d" % (number % 3), bytes([65 + number]) * 36) for number in range(5)]
    return Workload("aligned", LogOptions(sync="none", sync_interval_s=NEVER_S), tuple(ops))


def damages(image: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Return each small damage to a store: every bit flipped, every sector zeroed, every two sectors swapped."""
    for name, data in image.items():
        for bit in range(len(data) * 8):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            yield f"{name}: bit {bit % 8} of byte {bit // 8} flipped", {**image, name: bytes(flipped)}
        for size in SECTORS:
            for label, damaged in _sectors(data, size):
                if damaged != data:
                    yield f"{name}: {size}-byte {label}", {**image, name: damaged}
    yield from _between_files(image)


def _sectors(data: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    """Return the file with a sector zeroed, a stretch of them to the end zeroed, or two of them swapped."""
    starts = range(0, len(data), size)
    for at in starts:
        stop = min(at + size, len(data))
        yield f"sector at {at} zeroed", data[:at] + bytes(stop - at) + data[stop:]
        yield f"sectors from {at} on zeroed", data[:at] + bytes(len(data) - at)
    for a, b in combinations([at for at in starts if at + size <= len(data)], 2):
        swapped = data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]
        yield f"sectors at {a} and {b} swapped", swapped


def _between_files(image: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Return the store with sectors of two files swapped, and with the files swapped whole."""
    size = SECTORS[0]
    for one, other in combinations(sorted(image), 2):
        a, b = image[one], image[other]
        yield f"{one} and {other} swapped", {**image, one: b, other: a}
        for at in range(0, min(len(a), len(b)) - size + 1, size):
            new_a = a[:at] + b[at : at + size] + a[at + size :]
            new_b = b[:at] + a[at : at + size] + b[at + size :]
            yield f"{size}-byte sectors at {at} of {one} and {other} swapped", {**image, one: new_a, other: new_b}


def sweep(seeds: range, tally: RotTally, most_wrong: int = 100) -> None:
    """Damage the stores of these seeds in every way, and one whose records fill whole sectors."""
    for seed, options, image, model in stores(seeds):
        for label, damaged in damages(image):
            tally.cases += 1
            said = look(damaged, options, model)
            if said == "refused":
                tally.refused += 1
            elif said is not None:
                tally.wrong.append(f"store {seed}, {label}: {said}")
                if len(tally.wrong) == most_wrong:
                    return


def look(image: dict[str, bytes], options: LogOptions, model: Model) -> str | None:
    """Open a damaged store and read all of it; return what was wrong, "refused" for an error, None if all is there."""
    try:
        engine = tested.open_engine(CrashDisk(DiskState(image)), options, flag="w")
    except KvsError:
        return "refused"
    except Exception as error:  # noqa: BLE001  # whatever it is, a user must not get it
        return f"{type(error).__name__}: {error}"
    has_refused = False
    keys = set(engine)
    if keys != model.keys():
        return f"keys {keys ^ model.keys()} missing or added"
    for key, value in model.items():
        try:
            found = engine[key]
        except KvsError:
            has_refused = True
        else:
            if found != value:
                return f"{key!r} is {found!r}, not {value!r}"
    return "refused" if has_refused else None
