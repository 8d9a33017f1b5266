"""Changes: how commands change keys, so that whoever watches them is told.

Invariant: a key is touched after its new value can be read. So who begins to watch it later reads that value.
"""

from collections.abc import Iterable

from kvs.engine import MAX_VALUE_BYTES, Op
from kvs.errors import KeyNotFoundError
from kvs.net.connection import Connection
from kvs.resp.command import CommandError


def put(connection: Connection, key: bytes, value: bytes) -> None:
    """Store a value."""
    connection.space.set(key, value)
    watches = connection.service.watches
    if watches.is_any:
        watches.touch(key)


def drop(connection: Connection, key: bytes) -> bool:
    """Remove a key; return whether it was there."""
    try:
        connection.space.remove(key)
    except KeyNotFoundError:
        return False
    connection.service.watches.touch(key)
    return True


def change_all(connection: Connection, ops: Iterable[Op]) -> None:
    """Make several changes as one: a value to be stored for each key, or None for one to be removed."""
    batch = dict(ops)
    connection.space.write(batch.items())
    touch_all(connection, batch)


def touch_all(connection: Connection, keys: Iterable[bytes]) -> None:
    """Tell who watches any of these keys that they were changed."""
    watches = connection.service.watches
    if watches.is_any:
        for key in keys:
            watches.touch(key)


def check_length(size_bytes: int) -> None:
    """Refuse a value that is too long before it is made.

    Raises:
        CommandError: it is.
    """
    if size_bytes > MAX_VALUE_BYTES:
        raise CommandError("string exceeds maximum allowed size (proto-max-bulk-len)")
