"""Turns: how threads that write at once share one fsync (group commit).

    1. Each writer puts its ticket into the queue, then waits for the engine's lock.
    2. Who gets the lock finds its ticket done by another; or does all tickets of the queue, with one fsync.
    3. So while one fsync runs, the next one's writers gather.

Invariant: a ticket is without an error only when its records are durable. Until then nobody can read them, either, for
whoever does the tickets holds the lock all the while.

Source: the writers' queue of LevelDB.
"""

import contextlib
from collections import deque
from contextlib import AbstractContextManager
from typing import Final

from kvs.errors import KeyNotFoundError, KvsError, StorageError
from kvs.log.writer import Writer, Written

_UNFINISHED: Final = StorageError("interrupted before the write was known to be durable; it may or may not be there")


class Ticket:
    """A write that waits for its turn.

    Args:
        batch: what to write.
        must_exist: a key that has to be there, for `remove`.
    """

    __slots__ = ("batch", "error", "is_done", "must_exist")

    def __init__(self, batch: dict[bytes, bytes | None], must_exist: bytes | None = None) -> None:
        self.batch = batch
        self.must_exist = must_exist
        self.is_done = False
        self.error: KvsError | None = _UNFINISHED


class Turns:
    """The queue of those who wait to write durably.

    Threads: `wait` from any; a deque's append and popleft are atomic. The rest under the engine's lock.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.waiting: deque[Ticket] = deque()

    def wait(self, ticket: Ticket, lock: AbstractContextManager[object]) -> None:
        """Return when the ticket's write is durable.

        Raises:
            KeyNotFoundError: the key that must exist does not.
            WritesRefusedError, StorageError: it was not written, or may not be durable.
        """
        self.waiting.append(ticket)
        try:
            with lock:
                if not ticket.is_done:
                    self.serve()
        except BaseException:
            with contextlib.suppress(ValueError):
                self.waiting.remove(ticket)  # or it would be written when nobody expects it any more
            raise
        if ticket.error is not None:
            raise ticket.error

    def serve(self) -> None:
        """Append every waiting write, sync once, then let them be read."""
        tickets = self._take_waiting()
        try:
            written = self._append_all(tickets)
            self._writer.sync()
            for ticket, records in written:
                self._writer.publish(records)
                ticket.error = None
        except StorageError as error:
            self._writer.drop_due_hint()
            for ticket in tickets:
                ticket.error = ticket.error if ticket.error is not _UNFINISHED else error
        except BaseException:
            self._writer.drop_due_hint()
            raise
        finally:  # also when Ctrl-C comes between: nobody may take silence for an acknowledgement
            for ticket in tickets:
                ticket.is_done = True
        self._writer.write_due_hint()  # only now: it speaks for all that is in a segment that was sealed on the way

    def _take_waiting(self) -> list[Ticket]:
        """Empty the queue; a writer stopped by Ctrl-C may be taking its own ticket out at the same time."""
        tickets: list[Ticket] = []
        while True:
            try:
                tickets.append(self.waiting.popleft())
            except IndexError:
                return tickets

    def _append_all(self, tickets: list[Ticket]) -> list[tuple[Ticket, Written]]:
        """Put the writes of all tickets into the log; a ticket that cannot be written gets its own error."""
        written: list[tuple[Ticket, Written]] = []
        present: dict[bytes, bool] = {}  # what the tickets before change, ahead of the index
        for ticket in tickets:
            key = ticket.must_exist
            try:
                self._writer.check_writable()
                if key is not None and not present.get(key, key in self._writer.keydir.entries):
                    raise KeyNotFoundError(key)  # for the ticket's own thread
                written.append((ticket, self._writer.append(ticket.batch)))
            except KvsError as error:
                ticket.error = error
            else:
                present.update((key, value is not None) for key, value in ticket.batch.items())
        return written
