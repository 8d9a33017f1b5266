"""Commands of transactions: MULTI queues what follows, EXEC carries it out as one step, WATCH makes that depend.

    1. WATCH key         the connection is to be told when anybody changes the key
    2. GET key           ... and it works out what to write
    3. MULTI, SET key v  queued, not carried out
    4. EXEC              carried out if nobody changed the key since 1; else the answer is null, and nothing happens

Invariants:
    1. Between the commands of an EXEC nobody else's change is seen, and nobody sees theirs before all are done.
    2. What they change becomes one batch of the engine: after a crash all of it is there, or none.
    3. A change that a watcher could not have read makes it dirty. So keys are touched once their new value can be read:
       who watches later reads the new value.
"""

from kvs.engine import Engine
from kvs.net.commands.changes import touch_all
from kvs.net.commands.longreply import LongReply
from kvs.net.connection import Connection
from kvs.net.staged import Staged
from kvs.resp import frame
from kvs.resp.command import ALL_KEYS, Command, CommandError, command
from kvs.resp.frame import OK


@command("multi", 1, "transactions", at_once=True)
def multi(connection: Connection, _args: list[bytes]) -> bytes:
    """Begin a transaction: commands that follow are queued until EXEC.

    Cost: the queue holds what was received, and nothing bounds it but what the client sends.
    """
    if connection.queue is not None:
        raise CommandError("MULTI calls can not be nested")
    connection.queue = []
    connection.queue_is_broken = False
    connection.settle()
    return OK


@command("exec", 1, "transactions", at_once=True)
def exec_(connection: Connection, _args: list[bytes]) -> bytes:
    """Carry out the commands queued since MULTI as one step, unless a watched key was changed."""
    queue = connection.queue
    if queue is None:
        raise CommandError("EXEC without MULTI")
    if connection.queue_is_broken:
        leave(connection)
        raise CommandError("Transaction discarded because of previous errors.", "EXECABORT")
    with connection.service.lock_for_all():
        is_dirty = connection.is_dirty
        leave(connection)
        return frame.NULL_ARRAY[connection.protocol] if is_dirty else _carry_out(connection, queue)


def leave(connection: Connection) -> None:
    """Be in no transaction any more, and watch nothing."""
    connection.queue = None
    unwatch_all(connection)
    connection.settle()


def unwatch_all(connection: Connection) -> None:
    """Watch nothing any more, and be clean."""
    connection.service.watches.forget(connection)
    connection.is_dirty = False


def _carry_out(connection: Connection, queue: list[tuple[Command, list[bytes]]]) -> bytes:
    """Run the commands on staged changes, commit these, and return the replies.

    Raises:
        CommandError: the replies are too large; nothing was changed.
        KvsError: the engine refused the changes; none was made.
    """
    outer: Engine = connection.space
    staged = connection.space = Staged(outer)
    replies = LongReply()
    try:
        for each, args in queue:
            replies.add(connection.attempt(each, args))
    finally:
        connection.space = outer
    changed = list(staged.changes)
    staged.commit()
    touch_all(connection, changed)
    return replies.whole()


@command("discard", 1, "transactions", at_once=True)
def discard(connection: Connection, _args: list[bytes]) -> bytes:
    """Forget the commands queued since MULTI."""
    if connection.queue is None:
        raise CommandError("DISCARD without MULTI")
    leave(connection)
    return OK


@command("watch", -2, "transactions", keys=ALL_KEYS, at_once=True, usage="key [key ...]")
def watch(connection: Connection, args: list[bytes]) -> bytes:
    """Let the next EXEC do nothing if one of these keys is changed before."""
    if connection.queue is not None:
        raise CommandError("WATCH inside MULTI is not allowed")
    for key in args[1:]:
        connection.service.watches.watch(connection, key)
    return OK


@command("unwatch", 1, "transactions")
def unwatch(connection: Connection, _args: list[bytes]) -> bytes:
    """Watch nothing any more."""
    unwatch_all(connection)
    return OK
