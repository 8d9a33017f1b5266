"""LogStats: what a log engine can say of itself."""

from dataclasses import dataclass

from kvs.engine import EngineStats
from kvs.log.recovery import RecoveryFacts


@dataclass(frozen=True, slots=True)
class LogStats(EngineStats):
    """What a log engine can say of itself.

    Args:
        disk_bytes: what the segments take, room allocated ahead included.
        segments: how many data files there are.
        sequence: the number of the newest record.
        merges: segments written by compaction since the store was opened.
        unsynced_bytes: what is written and not known to be durable yet.
        last_sync: when an fsync last succeeded, in seconds since 1970; None when there was none since opening.
        recovery: what opening the store met.
    """

    disk_bytes: int
    segments: int
    sequence: int
    merges: int
    unsynced_bytes: int
    last_sync: float | None
    recovery: RecoveryFacts
