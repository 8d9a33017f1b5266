"""Commands on keys, whatever their values: DEL, EXISTS, RENAME, and those about a time to live, which no key has."""

from typing import Final

from kvs.net.commands.changes import change_all, drop, put
from kvs.net.commands.words import check_database, number_of, wrong_syntax
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import ALL_KEYS, ONE_KEY, TWO_KEYS, CommandError, Keys, command, container
from kvs.resp.frame import OK, ONE, ZERO

KEY_OVERHEAD_BYTES: Final = 32
"""What an engine needs for a key beside the bytes of it and its value, about: the frame of a record."""


def _remove(connection: Connection, args: list[bytes]) -> bytes:
    """Remove keys as one step; return how many there were."""
    if len(args) == 2:
        return ONE if drop(connection, args[1]) else ZERO
    space = connection.space
    present = [key for key in dict.fromkeys(args[1:]) if key in space]
    change_all(connection, [(key, None) for key in present])
    return frame.integer(len(present))


@command("del", -2, "generic", keys=ALL_KEYS, is_write=True, usage="key [key ...]")
def del_(connection: Connection, args: list[bytes]) -> bytes:
    """Remove keys; return how many there were."""
    return _remove(connection, args)


@command("unlink", -2, "generic", keys=ALL_KEYS, is_write=True, usage="key [key ...]")
def unlink(connection: Connection, args: list[bytes]) -> bytes:
    """Remove keys, as DEL does; return how many there were."""
    return _remove(connection, args)


@command("exists", -2, "generic", keys=ALL_KEYS, usage="key [key ...]")
def exists(connection: Connection, args: list[bytes]) -> bytes:
    """Return how many of these keys there are; one that is named twice counts twice."""
    space = connection.space
    return frame.integer(sum(key in space for key in args[1:]))


@command("touch", -2, "generic", keys=ALL_KEYS, usage="key [key ...]")
def touch(connection: Connection, args: list[bytes]) -> bytes:
    """Return how many of these keys there are; nothing else comes of it."""
    space = connection.space
    return frame.integer(sum(key in space for key in args[1:]))


@command("type", 2, "generic", keys=ONE_KEY, usage="key")
def type_(connection: Connection, args: list[bytes]) -> bytes:
    """Return "string" for a key that there is, or "none"."""
    return frame.simple("string" if args[1] in connection.space else "none")


@command("rename", 3, "generic", keys=TWO_KEYS, is_write=True, usage="key newkey")
def rename(connection: Connection, args: list[bytes]) -> bytes:
    """Give a value another key, replacing what was there."""
    _move(connection, args[1], args[2])
    return OK


@command("renamenx", 3, "generic", keys=TWO_KEYS, is_write=True, usage="key newkey")
def renamenx(connection: Connection, args: list[bytes]) -> bytes:
    """Give a value another key if that has none yet."""
    if args[1] in connection.space and args[2] in connection.space:
        return ZERO
    _move(connection, args[1], args[2])
    return ONE


def _move(connection: Connection, key: bytes, new_key: bytes) -> None:
    """Give a value another key, in one batch.

    Raises:
        CommandError: there is no such value.
    """
    value = connection.space.get(key)
    if value is None:
        raise CommandError("no such key")
    if key == new_key:
        return
    change_all(connection, [(key, None), (new_key, value)])


@command("copy", -3, "generic", keys=TWO_KEYS, is_write=True, usage="source destination [DB destination-db] [REPLACE]")
def copy(connection: Connection, args: list[bytes]) -> bytes:
    """Give a value a second key; one that has a value already only with REPLACE."""
    is_forced = _may_replace(args[3:])
    if args[1] == args[2]:
        raise CommandError("source and destination objects are the same")
    value = connection.space.get(args[1])
    if value is None or (args[2] in connection.space and not is_forced):
        return ZERO
    put(connection, args[2], value)
    return ONE


def _may_replace(words: list[bytes]) -> bool:
    """Read the options of COPY; there is one database, so DB can only name that.

    Raises:
        CommandError: they make no sense.
    """
    rest = [word.lower() for word in words]
    is_forced = False
    while rest:
        if rest[0] == b"replace":
            is_forced = True
            del rest[0]
        elif rest[0] == b"db" and len(rest) > 1:
            check_database(rest[1])
            del rest[:2]
        else:
            raise wrong_syntax()
    return is_forced


@command("memory|usage", -3, "server", keys=Keys(2, 2, 1), usage="key [SAMPLES count]")
def memory_usage(connection: Connection, args: list[bytes]) -> bytes:
    """Return how many bytes a key and its value take, about; null for a key that there is not."""
    if len(args) not in {3, 5} or (len(args) == 5 and args[3].lower() != b"samples"):
        raise wrong_syntax()
    if len(args) == 5 and number_of(args[4]) < 0:
        raise wrong_syntax()
    value = connection.space.get(args[2])
    if value is None:
        return frame.NULL[connection.protocol]
    return frame.integer(len(args[2]) + len(value) + KEY_OVERHEAD_BYTES)


memory = container("memory", "server", memory_usage)
