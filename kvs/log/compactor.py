"""Compactor: when to compact, and every merge of a compaction in turn."""

import logging
from functools import partial

from kvs.engine import Progress
from kvs.errors import StorageError
from kvs.log.compaction import Merge, Weight, plan
from kvs.log.options import LogOptions
from kvs.log.segment import FIRST_ROOM_BYTES, Segment
from kvs.log.writer import Writer

logger = logging.getLogger(__name__)


class Compactor:
    """Keeps the dead bytes of a log within bounds.

    Invariant: unless a compaction failed, the log takes at most its live bytes and the larger of
    `compact_dead_bytes` and `compact_dead_ratio` of all; beside that, a merged segment while it is made.

    Threads: none of its own; the engine's lock guards it, from the beginning of a compaction to its end.
    """

    def __init__(self, writer: Writer, options: LogOptions) -> None:
        self.merges = 0
        self._writer = writer
        self._options = options
        self.look_at = options.compact_dead_bytes  # so many dead bytes, and it is worth looking at the ratio

    def run_if_due(self) -> None:
        """Compact when enough is dead; a failure is logged, for the write at hand is done and well."""
        dead_bytes = self._writer.keydir.dead_bytes
        if dead_bytes < self.look_at:
            return
        self.look_at = self._due_at()
        if dead_bytes < self.look_at:
            return
        try:
            self.run(lambda _done, _total: None)
        except StorageError:
            logger.exception("%s: compaction failed; it is tried again when more is dead", self._writer.disk.path)
            self.look_at = dead_bytes + max(self._options.compact_dead_bytes, FIRST_ROOM_BYTES)

    def run(self, progress: Progress) -> None:
        """Merge what has dead records in it, oldest first, so that nothing dead is left.

        Raises:
            CorruptRecordError: rot; nothing was changed by the merge that met it.
            StorageError: the system refused; nothing is lost.
        """
        writer, keydir = self._writer, self._writer.keydir
        writer.seal()
        writer.write_due_hint()
        keydir.recount({segment.slot: segment.record_bytes for segment in writer.segments})
        dead = keydir.dead
        weights = [Weight(each.record_bytes - dead[each.slot], dead[each.slot]) for each in writer.segments]
        runs = plan(weights, self._options.segment_bytes)
        total_bytes = sum(each.end for run in runs for each in writer.segments[run])
        done_bytes = 0
        for run in runs:
            start = run.start - (len(weights) - len(writer.segments))  # merges before have made one segment of several
            chosen = writer.segments[start : start + run.stop - run.start]
            self._merge(start, chosen, partial(_as_part, progress, done_bytes, total_bytes))
            done_bytes += sum(each.end for each in chosen)
        self.look_at = self._due_at()

    def _due_at(self) -> int:
        """Return how many bytes must be dead for a compaction to be worth it, as things are."""
        total_bytes = sum(segment.end for segment in self._writer.segments)
        return max(self._options.compact_dead_bytes, int(total_bytes * self._options.compact_dead_ratio))

    def _merge(self, start: int, run: list[Segment], progress: Progress) -> None:
        """Merge a run of segments; see kvs.log.compaction for the order and its reasons."""
        writer, keydir = self._writer, self._writer.keydir
        is_clean_before = not any(keydir.dead.get(older.slot) for older in writer.segments[:start])
        merge = Merge(writer.disk, run, writer.take_slot(), keeps_tombstones=not is_clean_before)
        merge.write(keydir, progress)
        writer.sync()
        try:
            merged = merge.commit(keydir)
        except StorageError as error:
            writer.refuse(f"a compaction was not completed: {error}")
            raise
        writer.replace(start, run, merged)
        self.merges += 1
        try:
            merge.retire()
        except StorageError:
            logger.exception("%s: a merged segment was not removed; the next opening will do it", writer.disk.path)


def _as_part(progress: Progress, before: int, total: int, done: int, _total_of_part: int) -> None:
    """Tell of one merge's progress as of the whole compaction's."""
    progress(before + done, total)
