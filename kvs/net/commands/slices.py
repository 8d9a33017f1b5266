"""Commands on parts of values: APPEND, STRLEN, GETRANGE, SETRANGE. Under a key without a value there are no bytes.

Cost: an engine stores whole values, so each of them reads one, and those that change it write one.
"""

from kvs.net.commands.changes import check_length, put
from kvs.net.commands.words import number_of
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import ONE_KEY, CommandError, command


@command("append", 3, "string", keys=ONE_KEY, is_write=True, usage="key value")
def append(connection: Connection, args: list[bytes]) -> bytes:
    """Add bytes to the end of a value; return its length."""
    before = connection.space.get(args[1], b"")
    check_length(len(before) + len(args[2]))
    value = before + args[2]
    put(connection, args[1], value)
    return frame.integer(len(value))


@command("strlen", 2, "string", keys=ONE_KEY, usage="key")
def strlen(connection: Connection, args: list[bytes]) -> bytes:
    """Return the length of a value."""
    return frame.integer(len(connection.space.get(args[1], b"")))


@command("getrange", 4, "string", keys=ONE_KEY, usage="key start end")
def getrange(connection: Connection, args: list[bytes]) -> bytes:
    """Return a part of a value, from one place to another, both included; places below 0 count from the end."""
    return _part(connection, args)


@command("substr", 4, "string", keys=ONE_KEY, usage="key start end")
def substr(connection: Connection, args: list[bytes]) -> bytes:
    """Return a part of a value, as GETRANGE does under its newer name."""
    return _part(connection, args)


def _part(connection: Connection, args: list[bytes]) -> bytes:
    """Return a part of a value."""
    first, last = number_of(args[2]), number_of(args[3])
    value = connection.space.get(args[1], b"")
    if first < 0 and last < 0 and first > last:
        return frame.bulk(b"")
    first = max(first + len(value), 0) if first < 0 else first
    last = max(last + len(value), 0) if last < 0 else last
    return frame.bulk(value[first : last + 1])


@command("setrange", 4, "string", keys=ONE_KEY, is_write=True, usage="key offset value")
def setrange(connection: Connection, args: list[bytes]) -> bytes:
    """Write over a part of a value; what is missing before it becomes zero bytes. Return its length."""
    offset = number_of(args[2])
    if offset < 0:
        raise CommandError("offset is out of range")
    value = connection.space.get(args[1], b"")
    if args[3]:
        check_length(offset + len(args[3]))
        value = value[:offset].ljust(offset, b"\0") + args[3] + value[offset + len(args[3]) :]
        put(connection, args[1], value)
    return frame.integer(len(value))
