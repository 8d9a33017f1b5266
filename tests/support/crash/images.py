"""Images: what a crash may leave on the disk, one outcome after another.

For names that are not durable: every subset of the changes where they are few, else none, all, each prefix, each
alone and each missing. For bytes that are not durable: none, all, any subset of the dirty pages (sampled where they
are many), every size the file had meanwhile, each change missing with later ones present, and the last one torn at
every byte, what lies behind being as it was or, of a file that write(2) extends, cut off.

A page is the unit that reaches the disk whole. Real ones have 512 or 4,096 bytes; here it is smaller, so that small
files have several.
"""

from collections.abc import Iterator
from itertools import chain, combinations
from random import Random
from typing import Final, NamedTuple

from support.crash.state import DiskState, Inode, Names, Step, apply_change, with_name_changes

PAGE_BYTES: Final = 64
ALL_SUBSETS_OF: Final = 4
"""Up to so many pages or name changes, every subset is tried: 16 of them."""
MOST_MISSING: Final = 8


class Outcome(NamedTuple):
    """What one crash leaves.

    Args:
        is_power: power failed; else the process was killed, and what it had done stays.
        label: how this outcome came about, in words.
        image: the files.
    """

    is_power: bool
    label: str
    image: dict[str, bytes]


def outcomes(state: DiskState, last: Step, rng: Random, *, is_brief: bool = False) -> Iterator[Outcome]:
    """Return what a crash may leave behind this step.

    Args:
        state: the disk with the step taken.
        last: the step; a mark changes nothing, so that only the plain outcomes are worth another look.
        rng: the source of sampled subsets.
        is_brief: leave out what tears the last store.
    """
    lost = {number: inode.durable for number, inode in state.inodes.items()}
    kept = {number: bytes(inode.now) for number, inode in state.inodes.items()}
    yield Outcome(is_power=False, label="a kill", image=_image(state.names, kept))
    for words, names in _name_choices(state):
        yield Outcome(is_power=True, label=f"power: {words}; bytes lost", image=_image(names, lost))
        yield Outcome(is_power=True, label=f"power: {words}; bytes kept", image=_image(names, kept))
    if last[0] not in {"store", "append", "resize"}:
        return
    number = last[1]
    inode = state.inodes[number]
    torn = [] if is_brief else [*_torn(inode, last)]
    for words, data in torn:
        yield Outcome(is_power=False, label=f"a kill: {words}", image=_image(state.names, {**kept, number: data}))
    all_names = [state.names] if not state.pending_names else [state.names, state.durable_names]
    elsewhere = [kept] if _is_clean_but_for(state, number) else [kept, lost]
    cut = [] if is_brief else _cut(inode, last)
    for words, data in chain(_pages(inode, rng), _missing(inode), torn, cut):
        for others in elsewhere:
            for names in all_names:
                if number in names.values():
                    yield Outcome(is_power=True, label=f"power: {words}", image=_image(names, {**others, number: data}))


def _image(names: Names, data: dict[int, bytes]) -> dict[str, bytes]:
    return {name: data[number] for name, number in names.items()}


def _is_clean_but_for(state: DiskState, number: int) -> bool:
    return not any(inode.pending for other, inode in state.inodes.items() if other != number)


def _name_choices(state: DiskState) -> Iterator[tuple[str, Names]]:
    changes = state.pending_names
    if not changes:
        yield "no names pending", state.names
        return
    for chosen in _subsets(len(changes)):
        kept = [changes[index] for index in chosen]
        words = f"of {len(changes)} name changes kept {[change[:2] for change in kept]}"
        yield words, with_name_changes(state.durable_names, kept)


def _subsets(count: int, rng: Random | None = None) -> Iterator[tuple[int, ...]]:
    """Return subsets of so many things: all of them where they are few."""
    everything = range(count)
    if count <= ALL_SUBSETS_OF:
        for size in range(count + 1):
            yield from combinations(everything, size)
        return
    for size in range(count + 1):
        yield tuple(everything[:size])
    for one in everything:
        yield (one,)
        yield tuple(other for other in everything if other != one)
    for _ in range(8 if rng else 0):
        assert rng is not None
        yield tuple(one for one in everything if rng.random() < 0.5)


def _pages(inode: Inode, rng: Random) -> Iterator[tuple[str, bytes]]:
    """Return the file with some dirty pages written and others not, in each size that it had."""
    sizes = {len(inode.durable), len(inode.now), *(change[1] for change in inode.pending if change[0] == "resize")}
    for size in sorted(sizes):
        old = inode.durable[:size].ljust(size, b"\0")
        new = bytes(inode.now[:size]).ljust(size, b"\0")
        starts = range(0, size, PAGE_BYTES)
        dirty = [at for at in starts if old[at : at + PAGE_BYTES] != new[at : at + PAGE_BYTES]]
        for chosen in _subsets(len(dirty), rng):
            data = bytearray(old)
            for index in chosen:
                at = dirty[index]
                data[at : at + PAGE_BYTES] = new[at : at + PAGE_BYTES]
            yield f"size {size}, of the dirty pages {dirty} written {[dirty[index] for index in chosen]}", bytes(data)


def _missing(inode: Inode) -> Iterator[tuple[str, bytes]]:
    """Return the file with one change missing and the later ones made."""
    count = len(inode.pending)
    for index in range(max(0, count - MOST_MISSING), count):
        changes = inode.pending[:index] + inode.pending[index + 1 :]
        yield f"change {index} of {count} missing", inode.with_changes(changes)


def _torn(inode: Inode, last: Step) -> Iterator[tuple[str, bytes]]:
    """Return the file with the last store torn at every byte, what lies behind being as it was."""
    if last[0] == "resize" or not inode.pending:
        return
    _, offset, piece = inode.pending[-1]
    before = inode.with_changes(inode.pending[:-1])
    for kept in range(len(piece)):
        data = bytearray(before)
        apply_change(data, ("store", offset, piece[:kept]))
        yield f"the last {len(piece)} bytes torn after {kept}", bytes(data)


def _cut(inode: Inode, last: Step) -> Iterator[tuple[str, bytes]]:
    """Return the file cut off at every byte of what write(2) appended last; a store to mapped memory moves no end."""
    if last[0] != "append" or not inode.pending:
        return
    _, offset, piece = inode.pending[-1]
    now = bytes(inode.now)
    for kept in range(len(piece)):
        yield f"cut off after {kept} of the last {len(piece)} bytes", now[: offset + kept]
