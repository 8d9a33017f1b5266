r"""Frames: what the Redis protocol says, as bytes.

Layout: a frame is a line, of a mark, some text, CR and LF; some marks announce more to follow.

    +OK\r\n                          simple string
    -ERR what went wrong\r\n         error
    :42\r\n                          integer, 64 bits and signed
    $5\r\nhello\r\n                  bulk string: so many bytes, any bytes
    $-1\r\n                          null (RESP2)              _\r\n   (RESP3)
    *2\r\n ...                       array of so many frames
    *4\r\n ...                       map as an array (RESP2)   %2\r\n  of so many pairs (RESP3)
    *2\r\n ...                       set as an array (RESP2)   ~2\r\n  of so many frames (RESP3)
    $5\r\nhello\r\n                  text as bulk (RESP2)      =9\r\ntxt:hello\r\n (RESP3)

A command is an array of bulk strings. Source: the Redis serialization protocol specification, versions 2 and 3.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

MIN_INTEGER: Final = -(1 << 63)
MAX_INTEGER: Final = (1 << 63) - 1
_LONGEST_INTEGER: Final = len(b"-9223372036854775808")

OK: Final = b"+OK\r\n"
PONG: Final = b"+PONG\r\n"
QUEUED: Final = b"+QUEUED\r\n"
ZERO: Final = b":0\r\n"
ONE: Final = b":1\r\n"
NULL: Final = {2: b"$-1\r\n", 3: b"_\r\n"}
_TRUTH: Final = {False: b"#f\r\n", True: b"#t\r\n"}
NULL_ARRAY: Final = {2: b"*-1\r\n", 3: b"_\r\n"}

Plain: TypeAlias = bool | int | bytes | str | Sequence["Plain"] | Mapping[str, "Plain"] | frozenset[str] | None
"""What `encode` takes: the shapes that replies are made of."""


def integer(number: int) -> bytes:
    r"""Return an integer reply.

    >>> integer(-7)
    b':-7\r\n'
    """
    return b":%d\r\n" % number


def simple(text: str) -> bytes:
    r"""Return a simple string: a line without CR and LF in it.

    >>> simple("none")
    b'+none\r\n'
    """
    return b"+%b\r\n" % text.encode()


def bulk(value: bytes) -> bytes:
    r"""Return a bulk string reply.

    >>> bulk(b"\r\n")
    b'$2\r\n\r\n\r\n'
    """
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(frames: Sequence[bytes]) -> bytes:
    r"""Return an array of frames that are encoded already.

    >>> array([integer(1), bulk(b"a")])
    b'*2\r\n:1\r\n$1\r\na\r\n'
    """
    return b"*%d\r\n%b" % (len(frames), b"".join(frames))


def set_of(frames: Sequence[bytes], protocol: int) -> bytes:
    r"""Return a set of frames that are encoded already.

    >>> set_of([integer(1)], 2), set_of([integer(1)], 3)
    (b'*1\r\n:1\r\n', b'~1\r\n:1\r\n')
    """
    return (b"~" if protocol == 3 else b"*") + array(frames)[1:]


def text(value: str, protocol: int) -> bytes:
    r"""Return a text that is meant for people, of any number of lines.

    >>> text("hello", 2), text("hello", 3)
    (b'$5\r\nhello\r\n', b'=9\r\ntxt:hello\r\n')
    """
    raw = value.encode("utf-8", "backslashreplace")
    return b"=%d\r\ntxt:%b\r\n" % (len(raw) + 4, raw) if protocol == 3 else bulk(raw)


def error(message: str, code: str = "ERR") -> bytes:
    r"""Return an error reply: one line, whatever the text holds.

    >>> error("no such\nkey")
    b'-ERR no such key\r\n'
    """
    line = " ".join(f"{code} {message}".splitlines())
    return b"-%b\r\n" % line.encode("utf-8", "backslashreplace")


def encode(value: Plain, protocol: int) -> bytes:
    r"""Return a value as a reply; text becomes a bulk string.

    Args:
        value: None, a truth value, an integer, bytes, text, or sequences and mappings of them; or a frozenset of flags,
            which become simple strings: redis-cli aborts on others.
        protocol: 2 or 3; version 2 has neither maps nor truth values, and sends arrays and integers for them.

    >>> encode({"proto": 2}, 2), encode({"proto": 3}, 3)
    (b'*2\r\n$5\r\nproto\r\n:2\r\n', b'%1\r\n$5\r\nproto\r\n:3\r\n')
    """
    if value is None:
        return NULL[protocol]
    if isinstance(value, int):
        is_truth = isinstance(value, bool) and protocol == 3
        return _TRUTH[bool(value)] if is_truth else integer(value)
    if isinstance(value, bytes | str):
        return bulk(value if isinstance(value, bytes) else value.encode())
    if isinstance(value, frozenset):
        return set_of([simple(flag) for flag in sorted(value)], protocol)
    return _map(value, protocol) if isinstance(value, Mapping) else array([encode(each, protocol) for each in value])


def _map(value: Mapping[str, Plain], protocol: int) -> bytes:
    parts = [encode(part, protocol) for pair in value.items() for part in pair]
    return b"%%%d\r\n%b" % (len(value), b"".join(parts)) if protocol == 3 else array(parts)


def encode_command(args: Iterable[bytes]) -> bytes:
    r"""Return a command as a client sends it: an array of bulk strings.

    >>> encode_command([b"GET", b"k"])
    b'*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'
    """
    return array([bulk(each) for each in args])


def parse_integer(text: bytes) -> int | None:
    """Return the signed 64-bit integer that a text is, or None if it is not exactly one.

    Python's own `int()` also takes signs, spaces, underscores and the digits of every script.

    >>> parse_integer(b"-12"), parse_integer(b"+12"), parse_integer(b"012"), parse_integer("١٢".encode())
    (-12, None, None, None)
    """
    if len(text) > _LONGEST_INTEGER or not text.removeprefix(b"-").isdigit():
        return None
    number = int(text)
    return number if b"%d" % number == text and MIN_INTEGER <= number <= MAX_INTEGER else None
