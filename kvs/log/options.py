"""LogOptions: how a log engine works."""

import threading
from dataclasses import dataclass
from typing import Final, Literal, get_args

from kvs.log.segment import MAX_SEGMENT_BYTES

SyncMode = Literal["always", "interval", "none"]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a log engine works; the defaults suit most.

    Args:
        sync: when writes are made durable: "always" before each is acknowledged, "interval" at least once an
            interval, "none" when the system likes. All of them survive the death of the process.
        sync_interval_s: the interval, in seconds: what a power failure may take at most, and the time of an fsync.
        segment_bytes: a segment is sealed, and the next begun, before it grows beyond this.
        compact_dead_bytes: compaction waits until so many bytes are dead,
        compact_dead_ratio: and such a part of all bytes.

    Raises:
        ValueError: a value outside its range.
    """

    sync: SyncMode = "interval"
    sync_interval_s: float = 1.0
    segment_bytes: int = 64 * 1024 * 1024
    compact_dead_bytes: int = 4 * 1024 * 1024
    compact_dead_ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.sync not in get_args(SyncMode):
            raise ValueError(f"sync is one of {', '.join(get_args(SyncMode))}, not {self.sync!r}")
        if not 0 < self.sync_interval_s <= threading.TIMEOUT_MAX:
            raise ValueError(f"sync_interval_s is a number of seconds above 0, not {self.sync_interval_s!r}")
        if not 0 < self.segment_bytes <= MAX_SEGMENT_BYTES:
            raise ValueError(f"segment_bytes is from 1 to {MAX_SEGMENT_BYTES:,}, not {self.segment_bytes:,}")
        if self.compact_dead_bytes < 0 or not 0 <= self.compact_dead_ratio <= 1:
            raise ValueError("compact_dead_bytes is 0 or more, compact_dead_ratio from 0 to 1")


DEFAULTS: Final = LogOptions()
