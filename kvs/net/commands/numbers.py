"""Commands on values that are numbers: INCR and its kin. Under a key without a value there is a 0."""

from kvs.net.commands.changes import put
from kvs.net.commands.words import number_of
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import ONE_KEY, CommandError, command
from kvs.resp.frame import MAX_INTEGER, MIN_INTEGER


@command("incr", 2, "string", keys=ONE_KEY, is_write=True, usage="key")
def incr(connection: Connection, args: list[bytes]) -> bytes:
    """Add one to a number."""
    return _add(connection, args[1], 1)


@command("decr", 2, "string", keys=ONE_KEY, is_write=True, usage="key")
def decr(connection: Connection, args: list[bytes]) -> bytes:
    """Take one from a number."""
    return _add(connection, args[1], -1)


@command("incrby", 3, "string", keys=ONE_KEY, is_write=True, usage="key increment")
def incrby(connection: Connection, args: list[bytes]) -> bytes:
    """Add to a number."""
    return _add(connection, args[1], number_of(args[2]))


@command("decrby", 3, "string", keys=ONE_KEY, is_write=True, usage="key decrement")
def decrby(connection: Connection, args: list[bytes]) -> bytes:
    """Take from a number."""
    amount = number_of(args[2])
    if amount == MIN_INTEGER:
        raise CommandError("decrement would overflow")
    return _add(connection, args[1], -amount)


def _add(connection: Connection, key: bytes, amount: int) -> bytes:
    """Add to the number stored under a key, and return the sum.

    Raises:
        CommandError: what is stored is no number, or the sum is none of 64 bits.
    """
    total = number_of(connection.space.get(key, b"0")) + amount
    if not MIN_INTEGER <= total <= MAX_INTEGER:
        raise CommandError("increment or decrement would overflow")
    put(connection, key, b"%d" % total)
    return frame.integer(total)
