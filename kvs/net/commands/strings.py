"""Commands on whole values: GET, SET, and several at once.

Each that reads and then writes is one step beside other clients: its keys are locked where commands run in threads.
"""

from typing import Final

from kvs.net.commands.changes import change_all, drop, put
from kvs.net.commands.longreply import LongReply
from kvs.net.commands.words import no_lifetimes, number_of, wrong_syntax
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import ALL_KEYS, EVERY_SECOND, ONE_KEY, CommandError, command, wrong_arity
from kvs.resp.frame import OK, ONE, ZERO

_FLAGS: Final = {b"nx", b"xx", b"get", b"keepttl"}
_LIFETIMES: Final = {b"ex", b"px", b"exat", b"pxat"}
_ONLY_ONE_OF: Final = ({b"nx", b"xx"}, {b"keepttl", b"persist", *_LIFETIMES})


@command("get", 2, "string", keys=ONE_KEY, usage="key")
def get(connection: Connection, args: list[bytes]) -> bytes:
    """Return the value of a key."""
    value = connection.space.get(args[1])
    if value is None:
        return frame.NULL[connection.protocol]
    return b"$%d\r\n%b\r\n" % (len(value), value)


@command("set", -3, "string", keys=ONE_KEY, is_write=True, usage="key value [NX | XX] [GET] [KEEPTTL]")
def set_(connection: Connection, args: list[bytes]) -> bytes:
    """Store a value under a key; with NX only if there is none yet, with XX only if there is one."""
    if len(args) == 3:
        connection.space.set(args[1], args[2])
        watches = connection.service.watches
        if watches.is_any:
            watches.touch(args[1])
        return OK
    options, lifetime = _options(args[3:], _FLAGS)
    _refuse_lifetime("set", lifetime)
    return _set_if(connection, args[1], args[2], options)


def _set_if(connection: Connection, key: bytes, value: bytes, options: set[bytes]) -> bytes:
    """Carry out SET with options."""
    old = connection.space.get(key)
    is_wanted = not (b"nx" in options and old is not None) and not (b"xx" in options and old is None)
    if is_wanted:
        put(connection, key, value)
    if b"get" in options:
        return bulk_or_null(connection, old)
    return OK if is_wanted else frame.NULL[connection.protocol]


def _options(words: list[bytes], flags: set[bytes]) -> tuple[set[bytes], bytes | None]:
    """Return the options of SET or GETEX in lower case, and the time to live that they want.

    Raises:
        CommandError: they make no sense.
    """
    options: set[bytes] = set()
    lifetime: bytes | None = None
    rest = iter(words)
    for word in rest:
        option = word.lower()
        is_lifetime = option in _LIFETIMES
        if option not in flags and not is_lifetime:
            raise wrong_syntax()
        if any(option in choice and options & (choice - {option}) for choice in _ONLY_ONE_OF):
            raise wrong_syntax()
        if is_lifetime:
            lifetime = next(rest, None)
            if lifetime is None:
                raise wrong_syntax()
        options.add(option)
    return options, lifetime


def _refuse_lifetime(name: str, lifetime: bytes | None) -> None:
    """Refuse a time to live, for one reason or the other.

    Raises:
        CommandError: there is one.
    """
    if lifetime is not None:
        if number_of(lifetime) <= 0:
            raise CommandError(f"invalid expire time in '{name}' command")
        raise no_lifetimes()


def bulk_or_null(connection: Connection, value: bytes | None) -> bytes:
    """Return a value, or null where there is none."""
    return frame.NULL[connection.protocol] if value is None else frame.bulk(value)


@command("setnx", 3, "string", keys=ONE_KEY, is_write=True, usage="key value")
def setnx(connection: Connection, args: list[bytes]) -> bytes:
    """Store a value if the key has none."""
    if args[1] in connection.space:
        return ZERO
    put(connection, args[1], args[2])
    return ONE


@command("getset", 3, "string", keys=ONE_KEY, is_write=True, usage="key value")
def getset(connection: Connection, args: list[bytes]) -> bytes:
    """Store a value and return the one before."""
    return _set_if(connection, args[1], args[2], {b"get"})


@command("getex", -2, "string", keys=ONE_KEY, usage="key [PERSIST]")
def getex(connection: Connection, args: list[bytes]) -> bytes:
    """Return the value of a key, and let it stay."""
    _, lifetime = _options(args[2:], {b"persist"})
    value = connection.space.get(args[1])
    if value is not None:
        _refuse_lifetime("getex", lifetime)
    return bulk_or_null(connection, value)


@command("getdel", 2, "string", keys=ONE_KEY, is_write=True, usage="key")
def getdel(connection: Connection, args: list[bytes]) -> bytes:
    """Return the value of a key and remove it."""
    value = connection.space.get(args[1])
    if value is not None:
        drop(connection, args[1])
    return bulk_or_null(connection, value)


@command("mget", -2, "string", keys=ALL_KEYS, usage="key [key ...]")
def mget(connection: Connection, args: list[bytes]) -> bytes:
    """Return the values of several keys."""
    reply = LongReply()
    for key in args[1:]:
        reply.add(bulk_or_null(connection, connection.space.get(key)))
    return reply.whole()


@command("mset", -3, "string", keys=EVERY_SECOND, is_write=True, usage="key value [key value ...]")
def mset(connection: Connection, args: list[bytes]) -> bytes:
    """Store several values, all of them or none."""
    change_all(connection, _pairs("mset", args).items())
    return OK


@command("msetnx", -3, "string", keys=EVERY_SECOND, is_write=True, usage="key value [key value ...]")
def msetnx(connection: Connection, args: list[bytes]) -> bytes:
    """Store several values if none of the keys has one."""
    pairs = _pairs("msetnx", args)
    if any(key in connection.space for key in pairs):
        return ZERO
    change_all(connection, pairs.items())
    return ONE


def _pairs(name: str, args: list[bytes]) -> dict[bytes, bytes]:
    """Return keys and values that alternate; of a key that stands twice the last value counts."""
    if len(args) % 2 == 0:
        raise wrong_arity(name)
    return dict(zip(args[1::2], args[2::2], strict=True))
