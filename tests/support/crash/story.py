"""Story: what led to a violation, in as few operations as do it, and how to see it again."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from kvs.log import files, header
from kvs.log.walk import walk
from support.crash.crashdisk import CrashDisk
from support.crash.run import Run, Violation
from support.crash.state import DiskState, Step
from support.crash.workload import Workload

LONGEST_VALUE: Final = 24


def shrink(violation: Violation, explore: Callable[[Workload], object], seconds: float = 20.0) -> Violation:
    """Leave out one operation after another for as long as some promise is still broken.

    Args:
        violation: the one to begin with.
        explore: raises a Violation when a workload breaks a promise.
        seconds: when to be content.
    """
    deadline = time.monotonic() + seconds
    index = len(violation.run.workload.ops) - 1
    while index >= 0 and time.monotonic() < deadline:
        try:
            explore(violation.run.workload.without(index))
        except Violation as smaller:
            violation = smaller
            index = min(index, len(violation.run.workload.ops))
        index -= 1
    return violation


def tell(violation: Violation) -> str:
    """Return the story of a violation."""
    return "\n".join(_lines(violation))


def _lines(violation: Violation) -> Iterator[str]:
    run = violation.run
    seed, _, mode = run.workload.seed.partition(":")
    options = run.workload.options
    yield f"A promise was broken, in mode {mode!r} with segments of {options.segment_bytes} bytes."
    yield "The operations:"
    for number, op in enumerate(run.workload.ops):
        yield f"  {number + 1:3}. {_shorten(op)}"
    yield from _last_steps(run, violation.position)
    if violation.via:
        yield f"Before that: {violation.via}"
    if violation.outcome is None:
        yield "There was no crash: this is the living store."
    else:
        yield f"The crash: {violation.outcome.label}. It left:"
        for name, data in sorted(violation.outcome.image.items()):
            yield from _file_lines(name, data)
    yield "What the store may show:"
    yield from (f"  {_shorten(state)}" for state in violation.allowed)
    yield f"What it showed: {_shorten(violation.found)}"
    yield f"To run it again: python tests/reference/prove.py --seed {seed} --mode {mode}"


def _last_steps(run: Run, position: int) -> Iterator[str]:
    """Tell the steps of the operation in which the crash came."""
    begin = position
    while begin > 0 and run.steps[begin][:2] != ("mark", "op"):
        begin -= 1
    yield "The last steps to the disk:"
    for number in range(begin, position + 1):
        yield f"  {number:4}  {_step(run.steps[number])}"


def _step(step: Step) -> str:
    match step:
        case ("mark", "op", number):
            return f"-- operation {number + 1} begins"
        case ("mark", kind, number):
            return f"-- state {number} is {kind}"
        case _:
            return " ".join(_shorten(part) for part in step)


def _file_lines(name: str, data: bytes) -> Iterator[str]:
    yield f"  {name}, {len(data)} bytes"
    parsed = files.parse(name)
    if parsed is None or parsed[1] == "hint":
        return
    head = header.decode(data[: header.SIZE_BYTES])
    if head is not None:
        for piece in walk(CrashDisk(DiskState({name: data})).open(name, writable=False).memory, head.seed):
            detail = piece.record[2:] if piece.record else piece.bad or ""
            yield f"    {piece.offset:5} {piece.kind:9} {piece.size_bytes:4} bytes  {_shorten(detail)}"


def _shorten(thing: object) -> str:
    """Return a thing's text, long values cut."""
    if isinstance(thing, bytes):
        text = repr(thing[:LONGEST_VALUE])
        return text if len(thing) <= LONGEST_VALUE else f"{text}… ({len(thing)} bytes)"
    if isinstance(thing, tuple):
        return "(" + ", ".join(_shorten(part) for part in thing) + ")"
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{_shorten(key)}: {_shorten(value)}" for key, value in thing.items()) + "}"
    return str(thing)
