"""Goal: what one figure must come to, and the verdict on what it came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table of goals.

    Args:
        name: what is measured.
        bound: what it must come to,
        is_most: at most; else at least.
        unit: of the figure; "×" stands for a ratio.
        needs: where it can be decided: "GIL", "no GIL", or anywhere.
    """

    name: str
    bound: float
    is_most: bool = False
    unit: str = "×"
    needs: Literal["GIL", "no GIL", ""] = ""

    def verdict(self, figures: Sequence[float], *, has_gil: bool) -> str:
        """Return "pass" or "miss", by the median of the rounds, or "-" where nothing can be decided here.

        >>> Goal("get", 1.0).verdict([0.8, 1.1, 1.2], has_gil=True)
        'pass'
        """
        if not figures or self.needs == ("no GIL" if has_gil else "GIL"):
            return "-"
        got = median(figures)
        return "pass" if (got <= self.bound if self.is_most else got >= self.bound) else "miss"

    def row(self, figures: Sequence[float], *, has_gil: bool) -> dict[str, Any]:
        """Return the line with what was measured in it, for a table or for JSON."""
        return {
            "name": self.name,
            "goal": f"{'≤' if self.is_most else '≥'} {self.bound:g} {self.unit}",
            "unit": self.unit,
            "median": median(figures) if figures else None,
            "min": min(figures, default=None),
            "max": max(figures, default=None),
            "verdict": self.verdict(figures, has_gil=has_gil),
        }


GOALS: Final = (
    Goal("set, beside LMDB writemap", 1.0),
    Goal("set, beside LMDB no-sync", 3.0),
    Goal("set, beside RocksDB", 1.4),
    Goal("get, beside LMDB", 1.0),
    Goal("get, beside RocksDB", 1.3),
    Goal("update, beside own set", 2.0),
    Goal("import, beside own set", 2.0),
    Goal("scan of 1,000, beside LMDB", 0.5),
    Goal("open from hints", 1.5, unit="M keys/s"),
    Goal("open without hints", 0.5, unit="M keys/s"),
    Goal("memory beyond a dict", 40, is_most=True, unit="B/key"),
    Goal("memory", 200, is_most=True, unit="B/key"),
    Goal("reader and writer, beside reader", 0.7, needs="GIL"),
    Goal("reader and writer, no GIL", 1.3, needs="no GIL"),
    Goal("longest pause in compaction", 5.0, is_most=True, unit="ms"),
    Goal("reads in compaction, beside alone", 0.7),
    Goal("2 readers, beside 1", 1.6, needs="no GIL"),
    Goal("2 readers, big lock, beside 1", 1.0, is_most=True, needs="no GIL"),
    Goal("cost of set at many keys", 1.5, is_most=True),
    Goal("cost of get at many keys", 1.5, is_most=True),
    Goal("kvs get, beside python -c pass", 8.0, is_most=True),
)
"""What the engine "lockfree" must come to."""

EXTRAS: Final = (
    ("p99 of reads beside a writer", "µs"),
    ("the same, big lock", "µs"),
    ("longest pause of a reader alone", "ms"),
    ("longest pause in compaction, big lock", "ms"),
    ("cost of a dict's get at many keys", "×"),
)
"""What is told beside the goals, since it says what they mean here."""
