"""What a reply has to be: a server that answers a known command with something else is not to be believed."""

from typing import TypeVar

from kvs.errors import ProtocolError
from kvs.resp.value import Reply

T = TypeVar("T")

_LONGEST_SHOWN = 40


def expect(reply: Reply, kind: type[T]) -> T:
    """Return a reply that is of the kind that the command answers.

    >>> expect(3, int)
    3

    Raises:
        ProtocolError: it is of another.
    """
    if not isinstance(reply, kind):
        raise ProtocolError(f"expected a reply of type {kind.__name__}, found {_shown(reply)}")
    return reply


def expect_ok(reply: Reply) -> None:
    """See that a command was carried out.

    Raises:
        ProtocolError: the server says something else.
    """
    if reply != b"OK":
        raise ProtocolError(f"expected OK, found {_shown(reply)}")


def expect_pairs(flat: list[bytes]) -> int:
    """Return how many pairs there are in a list of keys and values in turn.

    Raises:
        ProtocolError: a value is missing.
    """
    if len(flat) % 2:
        raise ProtocolError(f"expected keys and values in pairs, found {len(flat):,} in all")
    return len(flat) // 2


def expect_results(reply: Reply, count: int) -> None:
    """See that EXEC carried out so many commands, and each without an error.

    Raises:
        RemoteError: one of them was refused.
        ProtocolError: the answer is no such list; a null would say that somebody changed a key that we never watched.
    """
    if not isinstance(reply, list) or len(reply) != count:
        raise ProtocolError(f"expected {count:,} results of EXEC, found {_shown(reply)}; the batch was not applied")
    for result in reply:
        if isinstance(result, Exception):
            raise result


def _shown(reply: Reply) -> str:
    """Return a reply as an error shows it: it may be of many MiB."""
    if isinstance(reply, bytes):
        return repr(reply[:_LONGEST_SHOWN])
    if isinstance(reply, list | dict | set):
        return f"{type(reply).__name__} of {len(reply):,}"
    return "null" if reply is None else repr(reply)
