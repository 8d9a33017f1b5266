"""RemoteStats: the figures of an engine behind a server, read from what the server answers to INFO keyspace."""

from dataclasses import dataclass
from typing import TypeAlias

from kvs.engine import EngineStats
from kvs.errors import ProtocolError
from kvs.resp.frame import parse_integer

Figure: TypeAlias = int | float | str


@dataclass(frozen=True, slots=True)
class RemoteStats(EngineStats):
    """What an engine behind a server says of itself.

    Args:
        details: what its server tells beside the figures that every engine has, by name.
    """

    details: dict[str, Figure]


def read_stats(text: bytes) -> RemoteStats:
    r"""Return the figures in a section of INFO: lines of a name, a colon and a value; those with # are headings.

    >>> read_stats(b"# Keyspace\r\nengine:log\r\nkeys:3\r\nlive_bytes:99\r\ndead_bytes:0\r\nsegments:1\r\n")
    RemoteStats(engine='log', keys=3, live_bytes=99, dead_bytes=0, details={'segments': 1})

    Raises:
        ProtocolError: one that every engine has is missing.
    """
    lines = text.decode("utf-8", "backslashreplace").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line and not line.startswith("#"))
    found: dict[str, Figure] = {name: _figure(value) for name, _, value in pairs}
    engine = found.pop("engine", None)
    keys, live_bytes, dead_bytes = (found.pop(name, None) for name in ("keys", "live_bytes", "dead_bytes"))
    if not (isinstance(engine, str) and isinstance(keys, int) and isinstance(live_bytes, int)):
        raise ProtocolError("expected the figures of an engine, found none: the server is not one of kvs")
    if not isinstance(dead_bytes, int):
        raise ProtocolError("expected dead_bytes among the figures of an engine, found none")
    return RemoteStats(engine=engine, keys=keys, live_bytes=live_bytes, dead_bytes=dead_bytes, details=found)


def _figure(value: str) -> Figure:
    """Return a value as the number that it is, or else as it stands."""
    number = parse_integer(value.encode())
    if number is not None:
        return number
    try:
        return float(value) if "." in value and "_" not in value else value
    except ValueError:
        return value
