"""Commands about a time to live, which no key has yet: asking for it is answered, setting it is refused."""

from kvs.net.commands.words import no_lifetimes
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import ONE_KEY, command
from kvs.resp.frame import ZERO


def _remaining(connection: Connection, args: list[bytes]) -> bytes:
    return frame.integer(-1 if args[1] in connection.space else -2)


@command("ttl", 2, "generic", keys=ONE_KEY, usage="key")
def ttl(connection: Connection, args: list[bytes]) -> bytes:
    """Return -1, for a key that stays, or -2 for one that there is not."""
    return _remaining(connection, args)


@command("pttl", 2, "generic", keys=ONE_KEY, usage="key")
def pttl(connection: Connection, args: list[bytes]) -> bytes:
    """Return -1, for a key that stays, or -2 for one that there is not."""
    return _remaining(connection, args)


@command("expiretime", 2, "generic", keys=ONE_KEY, usage="key")
def expiretime(connection: Connection, args: list[bytes]) -> bytes:
    """Return -1, for a key that stays, or -2 for one that there is not."""
    return _remaining(connection, args)


@command("pexpiretime", 2, "generic", keys=ONE_KEY, usage="key")
def pexpiretime(connection: Connection, args: list[bytes]) -> bytes:
    """Return -1, for a key that stays, or -2 for one that there is not."""
    return _remaining(connection, args)


@command("persist", 2, "generic", keys=ONE_KEY, usage="key")
def persist(_connection: Connection, _args: list[bytes]) -> bytes:
    """Return 0: there was no time to live to be taken away."""
    return ZERO


def _refuse(_connection: Connection, _args: list[bytes]) -> bytes:
    """Not supported: keys stay until they are removed."""
    raise no_lifetimes()


_AFTER_KEY = "key {} [NX | XX | GT | LT]"
expire = command("expire", -3, "generic", keys=ONE_KEY, usage=_AFTER_KEY.format("seconds"))(_refuse)
pexpire = command("pexpire", -3, "generic", keys=ONE_KEY, usage=_AFTER_KEY.format("milliseconds"))(_refuse)
expireat = command("expireat", -3, "generic", keys=ONE_KEY, usage=_AFTER_KEY.format("unix-time-seconds"))(_refuse)
pexpireat = command("pexpireat", -3, "generic", keys=ONE_KEY, usage=_AFTER_KEY.format("unix-time-milliseconds"))(
    _refuse
)
setex = command("setex", 4, "string", keys=ONE_KEY, usage="key seconds value")(_refuse)
psetex = command("psetex", 4, "string", keys=ONE_KEY, usage="key milliseconds value")(_refuse)
