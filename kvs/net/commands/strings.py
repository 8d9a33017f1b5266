"""Commands on values: GET, SET, and what can be done to a value in its place.

Each that reads and then writes is one step beside other clients: its key is locked where commands run in threads.
"""

from typing import Final

from kvs.engine import MAX_VALUE_BYTES
from kvs.errors import KeyNotFoundError
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import ALL_KEYS, EVERY_SECOND, ONE_KEY, CommandError, command, wrong_arity
from kvs.resp.frame import MAX_INTEGER, MIN_INTEGER, OK, ONE, ZERO

_SYNTAX: Final = "syntax error"


@command("get", 2, "string", keys=ONE_KEY)
def get(connection: Connection, args: list[bytes]) -> bytes:
    """Return the value of a key."""
    value = connection.space.get(args[1])
    if value is None:
        return frame.NULL[connection.protocol]
    return b"$%d\r\n%b\r\n" % (len(value), value)


def put(connection: Connection, key: bytes, value: bytes) -> None:
    """Store a value, and tell who watches the key."""
    connection.space.set(key, value)
    watches = connection.service.watches
    if watches.is_any:
        watches.touch(key)


@command("set", -3, "string", keys=ONE_KEY, is_write=True)
def set_(connection: Connection, args: list[bytes]) -> bytes:
    """Store a value under a key; with NX only if there is none yet, with XX only if there is one."""
    if len(args) == 3:
        connection.space.set(args[1], args[2])
        watches = connection.service.watches
        if watches.is_any:
            watches.touch(args[1])
        return OK
    return _set_if(connection, args[1], args[2], {word.lower() for word in args[3:]})


def _set_if(connection: Connection, key: bytes, value: bytes, options: set[bytes]) -> bytes:
    """Carry out SET with options."""
    if options - {b"nx", b"xx", b"get"} or options >= {b"nx", b"xx"}:
        raise CommandError(_SYNTAX)
    old = connection.space.get(key)
    is_wanted = not (b"nx" in options and old is not None) and not (b"xx" in options and old is None)
    if is_wanted:
        put(connection, key, value)
    if b"get" in options:
        return bulk_or_null(connection, old)
    return OK if is_wanted else frame.NULL[connection.protocol]


def bulk_or_null(connection: Connection, value: bytes | None) -> bytes:
    """Return a value, or null where there is none."""
    return frame.NULL[connection.protocol] if value is None else frame.bulk(value)


@command("setnx", 3, "string", keys=ONE_KEY, is_write=True)
def setnx(connection: Connection, args: list[bytes]) -> bytes:
    """Store a value if the key has none."""
    if args[1] in connection.space:
        return ZERO
    put(connection, args[1], args[2])
    return ONE


@command("getset", 3, "string", keys=ONE_KEY, is_write=True)
def getset(connection: Connection, args: list[bytes]) -> bytes:
    """Store a value and return the one before."""
    return _set_if(connection, args[1], args[2], {b"get"})


@command("getdel", 2, "string", keys=ONE_KEY, is_write=True)
def getdel(connection: Connection, args: list[bytes]) -> bytes:
    """Return the value of a key and remove it."""
    value = connection.space.get(args[1])
    if value is not None:
        drop(connection, args[1])
    return bulk_or_null(connection, value)


def drop(connection: Connection, key: bytes) -> bool:
    """Remove a key and tell who watches it; return whether it was there."""
    try:
        connection.space.remove(key)
    except KeyNotFoundError:
        return False
    connection.service.watches.touch(key)
    return True


@command("mget", -2, "string", keys=ALL_KEYS)
def mget(connection: Connection, args: list[bytes]) -> bytes:
    """Return the values of several keys."""
    return frame.array([bulk_or_null(connection, connection.space.get(key)) for key in args[1:]])


@command("mset", -3, "string", keys=EVERY_SECOND, is_write=True)
def mset(connection: Connection, args: list[bytes]) -> bytes:
    """Store several values, all of them or none."""
    put_all(connection, _pairs("mset", args))
    return OK


@command("msetnx", -3, "string", keys=EVERY_SECOND, is_write=True)
def msetnx(connection: Connection, args: list[bytes]) -> bytes:
    """Store several values if none of the keys has one."""
    pairs = _pairs("msetnx", args)
    if any(key in connection.space for key in pairs):
        return ZERO
    put_all(connection, pairs)
    return ONE


def _pairs(name: str, args: list[bytes]) -> dict[bytes, bytes]:
    """Return keys and values that alternate; of a key that stands twice the last value counts."""
    if len(args) % 2 == 0:
        raise wrong_arity(name)
    return dict(zip(args[1::2], args[2::2], strict=True))


def put_all(connection: Connection, pairs: dict[bytes, bytes]) -> None:
    """Store several values as one, and tell who watches them."""
    connection.space.write(pairs.items())
    for key in pairs:
        connection.service.watches.touch(key)


@command("incr", 2, "string", keys=ONE_KEY, is_write=True)
def incr(connection: Connection, args: list[bytes]) -> bytes:
    """Add one to a number."""
    return _add(connection, args[1], 1)


@command("decr", 2, "string", keys=ONE_KEY, is_write=True)
def decr(connection: Connection, args: list[bytes]) -> bytes:
    """Take one from a number."""
    return _add(connection, args[1], -1)


@command("incrby", 3, "string", keys=ONE_KEY, is_write=True)
def incrby(connection: Connection, args: list[bytes]) -> bytes:
    """Add to a number."""
    return _add(connection, args[1], number_of(args[2]))


@command("decrby", 3, "string", keys=ONE_KEY, is_write=True)
def decrby(connection: Connection, args: list[bytes]) -> bytes:
    """Take from a number."""
    amount = number_of(args[2])
    if amount == MIN_INTEGER:
        raise CommandError("decrement would overflow")
    return _add(connection, args[1], -amount)


def number_of(text: bytes) -> int:
    """Return the integer that a word is.

    Raises:
        CommandError: it is none of 64 bits.
    """
    number = frame.parse_integer(text)
    if number is None:
        raise CommandError("value is not an integer or out of range")
    return number


def _add(connection: Connection, key: bytes, amount: int) -> bytes:
    """Add to the number stored under a key; none counts as 0."""
    total = number_of(connection.space.get(key, b"0")) + amount
    if not MIN_INTEGER <= total <= MAX_INTEGER:
        raise CommandError("increment or decrement would overflow")
    put(connection, key, b"%d" % total)
    return frame.integer(total)


@command("append", 3, "string", keys=ONE_KEY, is_write=True)
def append(connection: Connection, args: list[bytes]) -> bytes:
    """Add bytes to the end of a value."""
    before = connection.space.get(args[1], b"")
    check_length(len(before) + len(args[2]))
    value = before + args[2]
    put(connection, args[1], value)
    return frame.integer(len(value))


@command("strlen", 2, "string", keys=ONE_KEY)
def strlen(connection: Connection, args: list[bytes]) -> bytes:
    """Return the length of a value."""
    return frame.integer(len(connection.space.get(args[1], b"")))


@command("getrange", 4, "string", keys=ONE_KEY)
def getrange(connection: Connection, args: list[bytes]) -> bytes:
    """Return a part of a value, from one place to another, both included; places below 0 count from the end."""
    first, last = number_of(args[2]), number_of(args[3])
    value = connection.space.get(args[1], b"")
    if first < 0 and last < 0 and first > last:
        return frame.bulk(b"")
    first = max(first + len(value), 0) if first < 0 else first
    last = max(last + len(value), 0) if last < 0 else last
    return frame.bulk(value[first : last + 1])


@command("setrange", 4, "string", keys=ONE_KEY, is_write=True)
def setrange(connection: Connection, args: list[bytes]) -> bytes:
    """Write over a part of a value; what is missing before it becomes zero bytes."""
    offset = number_of(args[2])
    if offset < 0:
        raise CommandError("offset is out of range")
    value = connection.space.get(args[1], b"")
    if args[3]:
        check_length(offset + len(args[3]))
        value = value[:offset].ljust(offset, b"\0") + args[3] + value[offset + len(args[3]) :]
        put(connection, args[1], value)
    return frame.integer(len(value))


def check_length(size_bytes: int) -> None:
    """Refuse a value that is too long before it is made."""
    if size_bytes > MAX_VALUE_BYTES:
        raise CommandError("string exceeds maximum allowed size (proto-max-bulk-len)")
