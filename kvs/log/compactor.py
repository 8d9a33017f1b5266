"""Compactor: when to compact, and every merge of a compaction in turn."""

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain

from kvs.engine import Progress
from kvs.errors import StorageError
from kvs.log.compaction import Merge, Weight, plan
from kvs.log.options import LogOptions
from kvs.log.segment import FIRST_ROOM_BYTES, Segment
from kvs.log.writer import Writer

logger = logging.getLogger(__name__)


class Compactor:
    """Keeps the dead bytes of a log within bounds.

    Args:
        writer: the log.
        options: when it is worth it, and how large a merged segment may be.
        lock: what to hold while segments, index and account are looked at or changed. The merging itself, which takes
            the time, is done without it. An engine that holds its own lock throughout gives none.

    Invariant: unless a compaction failed, the log takes at most its live bytes and the larger of
    `compact_dead_bytes` and `compact_dead_ratio` of all; beside that, a merged segment while it is made.

    Threads: none of its own, and one compaction at a time: the caller sees to that.
    """

    def __init__(self, writer: Writer, options: LogOptions, lock: AbstractContextManager[object] | None = None) -> None:
        self.merges = 0
        self._writer = writer
        self._options = options
        self._lock = lock or nullcontext()
        self.look_at = options.compact_dead_bytes  # so many dead bytes, and it is worth looking at the ratio

    def run_if_due(self) -> None:
        """Compact when enough is dead. The caller holds its lock."""
        if self._writer.keydir.dead_bytes >= self.look_at:
            self.look()

    def look(self) -> None:
        """Compact, if it is worth it; a failure is logged, for the write at hand is done and well."""
        dead_bytes = self._writer.keydir.dead_bytes
        self.look_at = self._due_at()
        if dead_bytes < self.look_at:
            return
        try:
            self.run(lambda _done, _total: None)
        except StorageError:
            logger.exception("%s: compaction failed; it is tried again when more is dead", self._writer.disk.path)
            self.look_at = self._writer.keydir.dead_bytes + max(self._options.compact_dead_bytes, FIRST_ROOM_BYTES)

    def run(self, progress: Progress) -> None:
        """Merge what has dead records in it, oldest first, so that nothing is left of what is dead now.

        Raises:
            CorruptRecordError: rot; nothing was changed by the merge that met it.
            StorageError: the system refused; nothing is lost.
        """
        with self._lock:
            runs = self._plan()
        total_bytes = sum(each.end for run in runs for each in run)
        done_bytes = 0
        for run in runs:
            self._merge(run, partial(_as_part, progress, done_bytes, total_bytes))
            done_bytes += sum(each.end for each in run)
        with self._lock:
            self.look_at = self._due_at()

    def _plan(self) -> list[list[Segment]]:
        """Seal the log, and choose what to merge. The caller holds the lock."""
        writer, keydir = self._writer, self._writer.keydir
        writer.check_writable()
        writer.seal()
        writer.write_due_hint()
        keydir.recount({segment.slot: segment.record_bytes for segment in writer.segments})
        dead = keydir.dead
        weights = [Weight(each.record_bytes - dead[each.slot], dead[each.slot]) for each in writer.segments]
        runs = [writer.segments[run] for run in plan(weights, self._options.segment_bytes)]
        for segment in chain.from_iterable(runs):
            segment.is_final = True  # or what is appended during a merge would go with the segment
        return runs

    def _due_at(self) -> int:
        """Return how many bytes must be dead for a compaction to be worth it, as things are."""
        total_bytes = sum(segment.end for segment in self._writer.segments)
        return max(self._options.compact_dead_bytes, int(total_bytes * self._options.compact_dead_ratio))

    def _merge(self, run: list[Segment], progress: Progress) -> None:
        """Merge a run of segments; see kvs.log.compaction for the order and its reasons."""
        writer, keydir = self._writer, self._writer.keydir
        with self._lock:
            before = writer.segments[: writer.segments.index(run[0])]
            is_clean_before = not any(keydir.dead.get(older.slot) for older in before)
            merge = Merge(writer.disk, run, writer.take_slot(), keeps_tombstones=not is_clean_before)
        merge.write(keydir, partial(self._go_on, progress))
        with self._lock:
            writer.sync()
        try:
            merged = merge.commit()
            self._adopt(merge, merged)
        except BaseException as error:  # Ctrl-C, too: half adopted, the log must not be written any more
            with self._lock:
                writer.refuse(f"a compaction was not completed: {str(error) or type(error).__name__}")
            raise
        self.merges += 1
        merge.write_hint(merged)
        try:
            merge.retire()
        except StorageError:
            logger.exception("%s: a merged segment was not removed; the next opening will do it", writer.disk.path)

    def _go_on(self, progress: Progress, done_bytes: int, total_bytes: int) -> None:
        """Tell of the progress, and let others have their turn."""
        progress(done_bytes, total_bytes)
        self._breathe()

    def _breathe(self) -> None:
        """Let others have their turn; nobody else has one here, since the engine's lock is held throughout."""

    def _adopt(self, merge: Merge, merged: Segment) -> None:
        """Let a merged segment take the place of those that it holds: first for readers, then in the log."""
        writer, keydir = self._writer, self._writer.keydir
        with self._lock:
            writer.show(merged)
            merge.account(merged, keydir)
        next_key = 0
        while next_key < len(merge.keys):
            with self._lock:  # a little at a time: writers wait for it
                next_key = merge.point_some(keydir, next_key)
            self._breathe()
        with self._lock:
            for segment in merge.run:
                keydir.forget(segment.slot)
            writer.replace(merge.run, merged)


def _as_part(progress: Progress, before: int, total: int, done: int, _total_of_part: int) -> None:
    """Tell of one merge's progress as of the whole compaction's."""
    progress(before + done, total)
