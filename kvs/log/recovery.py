"""Recovery: from the files of a directory to a keydir, whatever the last owner's end was like.

    list the segments -> leave out those a merge has replaced -> each in order: believe its hint, replay the rest
    -> the last one's tail: sound, torn (cut it) or rotten (refuse)

Invariants:
    1. What recovery shows is a prefix of history that holds everything that was durable; or it raises.
    2. When it returns to a writer, what it shows is durable: a torn tail is cut, and the cut synced, before the first
       new record. Else a record written in the tail's place could be followed by what is left of the tail.
    3. A reader's recovery changes nothing in the directory.
    4. A second recovery after a crash in the first finds the same.
"""

import logging
from dataclasses import dataclass, field, replace

from kvs.errors import CorruptRecordError
from kvs.log import files, header, hint, marker, tail
from kvs.log.disk import Disk
from kvs.log.files import SegmentName
from kvs.log.keydir import Keydir
from kvs.log.record import Bad
from kvs.log.replay import Replay, replay
from kvs.log.segment import SECTOR_BYTES, Segment

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecoveryFacts:
    """What recovery did, for `stats()`.

    Args:
        was_clean: whether the last owner closed the store.
        hints_used: how many segments were opened by their hint files.
        records_replayed: how many records were read one by one.
        torn_bytes: what was cut off as a torn tail.
    """

    was_clean: bool = True
    hints_used: int = 0
    records_replayed: int = 0
    torn_bytes: int = 0


@dataclass(slots=True)
class Recovered:
    """A store's state as found on the disk."""

    segments: list[Segment] = field(default_factory=list)  # in the order of history
    keydir: Keydir = field(default_factory=Keydir)
    sequence: int = 0  # the highest that any record has
    facts: RecoveryFacts = field(default_factory=RecoveryFacts)


def recover(disk: Disk, *, writable: bool) -> Recovered:
    """Read the store in a directory.

    Args:
        disk: the directory, owned if `writable`.
        writable: whether to leave it fit for new records: leftovers gone, the tail cut.

    Raises:
        CorruptRecordError: rot; nothing was changed.
        UnsupportedFormatError, WrongEngineError: not ours to read; nothing was changed.
        StorageError: the system refused.
    """
    names = disk.list()
    if not marker.check(disk, names):
        return Recovered()
    segments, leftovers = _find_segments(disk, names, writable=writable)
    _check_gaps(disk, segments)
    recovered = Recovered(segments)
    for segment in segments:
        state = _believe_hint(disk, segment, names, recovered.keydir)
        state = state or Replay(header.SIZE_BYTES, recovered.sequence)
        segment.hinted = state.end
        hints_used = int(segment.hinted > header.SIZE_BYTES)
        if not hints_used and segment.name.hint in names:
            leftovers.append(segment.name.hint)
        replay(segment, state)
        _judge_end(segment, state, recovered, is_last=segment is segments[-1])
        _take_in(segment, state, recovered, hints_used)
    recovered.keydir.recount({segment.slot: segment.record_bytes for segment in segments})
    if writable:
        _settle(disk, recovered, leftovers)
    return recovered


def _find_segments(disk: Disk, names: list[str], *, writable: bool) -> tuple[list[Segment], list[str]]:
    """Open the segments that count, in the order of history, and name the files that no longer count."""
    leftovers = [name for name in files.ours(names) if name.endswith(".tmp")]
    kept: list[Segment] = []
    covered_from = 1 << 32  # segments from this number on are held by those already kept
    for slot, name in reversed([*enumerate(files.with_ending(names, "data"))]):
        is_last = not kept
        if name.id >= covered_from or (is_last and _was_never_used(disk, name)):
            leftovers.append(name.data)
            continue
        kept.append(Segment.open(disk, name, slot, writable=writable and is_last and name.generation == 0))
        covered_from = kept[-1].head.first_id
    stems = {segment.name for segment in kept}
    leftovers += [name.hint for name in files.with_ending(names, "hint") if name not in stems]
    return kept[::-1], leftovers


def _check_gaps(disk: Disk, segments: list[Segment]) -> None:
    """See that no segment is missing between the others: their numbers follow one another from 1 on.

    Raises:
        CorruptRecordError: one is.
    """
    expected_id = 1
    for segment in segments:
        if segment.head.first_id != expected_id:
            path = f"{disk.path}/{SegmentName(expected_id, 0).data}"
            raise CorruptRecordError(path, 0, expected=f"segment {expected_id}", found="no file that holds it")
        expected_id = segment.name.id + 1


def _was_never_used(disk: Disk, name: SegmentName) -> bool:
    """Tell whether a crash came while this segment was made: no sound header, and nothing behind it.

    Records come only once the header is durable, so such a file holds none. Once it was sealed, its length tells.
    """
    file = disk.open(name.data, writable=False)
    memory = file.memory
    file.close()
    head, rest = memory[: header.SIZE_BYTES], memory[header.SIZE_BYTES :]
    has_room = len(memory) < header.SIZE_BYTES or len(memory) % SECTOR_BYTES == 0
    return name.generation == 0 and has_room and not header.has_sound_checksum(head) and not rest.strip(b"\0")


def _believe_hint(disk: Disk, segment: Segment, names: list[str], keydir: Keydir) -> Replay | None:
    """Load what a segment's hint says, and begin where it leaves off; None where there is none to believe."""
    if segment.name.hint not in names:
        return None
    said = hint.decode(disk.read(segment.name.hint), segment.seed)
    if said is None or said.covered > len(segment.memory):
        return None
    keydir.load(said.keys, map(segment.base.__or__, said.places), said.removed)
    return Replay(
        said.covered,
        said.sequence,
        removed=set(said.removed),
        seal_bytes=said.seal_bytes,
        is_sealed=True,
        watermark=said.covered,
    )


def _judge_end(segment: Segment, state: Replay, recovered: Recovered, *, is_last: bool) -> None:
    """Decide what it means that reading ended where it did: a sound end, a torn tail, or rot.

    Raises:
        CorruptRecordError: rot.
    """
    if is_last and not segment.is_merged:
        torn_bytes = _judge_tail(segment, state)
        is_empty = state.end == header.SIZE_BYTES
        was_clean = state.flaw is None and (state.is_sealed or is_empty)
        recovered.facts = replace(recovered.facts, was_clean=was_clean, torn_bytes=torn_bytes)
    elif state.flaw is not None:
        raise segment.corrupt(state.flaw_at, state.flaw)
    elif not state.is_sealed:
        raise segment.corrupt(state.end, Bad("a seal at the end of the file", "the end of the file"))


def _judge_tail(segment: Segment, state: Replay) -> int:
    """Return how many bytes of the last segment are a torn tail; zeros are only room that was allocated ahead.

    Raises:
        CorruptRecordError: what is wrong there was once durable.
    """
    if state.flaw is None:
        return 0
    follows_seal = state.is_sealed and state.flaw_at == state.end
    why = tail.why_rot(segment.memory, state.flaw_at, segment.seed, state.sequence, follows_seal=follows_seal)
    if why is not None:
        raise segment.corrupt(state.flaw_at, Bad(state.flaw.expected, f"{state.flaw.found}, though {why}"))
    torn_bytes = state.flaw_at - state.end + len(segment.memory[state.flaw_at :].rstrip(b"\0"))
    if torn_bytes:
        logger.warning("%s: a torn tail of %d bytes at offset %d", segment.path, torn_bytes, state.end)
    return torn_bytes


def _take_in(segment: Segment, state: Replay, recovered: Recovered, hints_used: int) -> None:
    """Let a segment's keys count."""
    segment.end = segment.durable = state.end
    segment.sealed = state.end if state.is_sealed else header.SIZE_BYTES
    segment.seal_bytes = state.seal_bytes
    segment.sequence = state.sequence
    segment.vouched = state.watermark
    segment.removed = state.removed
    recovered.sequence = state.sequence
    recovered.keydir.load(state.fresh.keys(), state.fresh.values(), state.removed)
    facts = recovered.facts
    recovered.facts = replace(
        facts, hints_used=facts.hints_used + hints_used, records_replayed=facts.records_replayed + state.records
    )


def _settle(disk: Disk, recovered: Recovered, leftovers: list[str]) -> None:
    """Make durable what was found, then clear what no longer counts.

    The last owner may have been killed between a step and its fsync: what was read then came from the page cache, and
    a power failure could still take it. The order matters: an old segment must not go before the name of the merged
    one that replaces it is durable.
    """
    disk.sync_dir()
    if recovered.segments and not recovered.segments[-1].is_merged:
        recovered.segments[-1].write_again()
        recovered.segments[-1].cut()
    for name in leftovers:
        disk.unlink(name)
    if leftovers:
        disk.sync_dir()
