r"""Values: what the parts of a reply are in Python.

Layout of what is one line:

    +OK\r\n                          simple string
    -ERR what went wrong\r\n         error
    :42\r\n                          integer, 64 bits and signed
    _\r\n                            null
    #t\r\n  #f\r\n                   truth value
    ,1.5\r\n  ,inf\r\n  ,nan\r\n     double
    (12345678901234567890\r\n        big number

Layout of what follows on a line with its size, as in `$5\r\nhello\r\n`:

    $  bulk string    !  error, of any bytes    =  text, after three letters for its kind and a colon

Source: the Redis serialization protocol specification, version 3.
"""

import re
from collections.abc import Callable, Hashable
from math import nan
from typing import Final, TypeAlias

from kvs.errors import ProtocolError, RemoteError
from kvs.resp.frame import parse_integer

Reply: TypeAlias = (
    bool | int | float | bytes | RemoteError | list["Reply"] | dict[Hashable, "Reply"] | set[Hashable] | None
)
"""A reply in Python: strings of all kinds are bytes, and an error is a value, too."""

_SIZES: Final = {b"%d" % size: size for size in range(1_025)}
"""What nearly all announced sizes are: looking one up takes a quarter of the time of reading it."""
_LONGEST_SHOWN: Final = 40
_SIMPLE, _ERROR, _INTEGER, _BULK_ERROR, _TEXT = b"+-:!="


def scalar(mark: int, text: bytes) -> Reply:
    """Return the value of a line.

    >>> scalar(ord("#"), b"t"), scalar(ord(","), b"1e3"), scalar(ord("-"), b"ERR no")
    (True, 1000.0, RemoteError('ERR no'))

    Raises:
        ProtocolError: there is no such value.
    """
    if mark == _SIMPLE:
        return text
    if mark == _ERROR:
        return _error(text)
    if mark == _INTEGER:
        number = parse_integer(text)
        if number is None:
            raise fault("an integer of 64 bits", text)
        return number
    expected, shape, convert = _RARE[mark]
    if shape.fullmatch(text) is None:
        raise fault(expected, text)
    return convert(text)


def _double(text: bytes) -> float:
    """Return a double; a nan with an argument, as some C libraries write it, is a nan."""
    return nan if text.endswith(b")") else float(text)


_RARE: Final[dict[int, tuple[str, re.Pattern[bytes], Callable[[bytes], Reply]]]] = {
    ord("_"): ("nothing behind the mark of a null", re.compile(b""), lambda _: None),
    ord("#"): ("t or f", re.compile(b"[tf]"), b"t".__eq__),
    # Redis before version 7.2 sends a nan as its C library writes it.
    ord(","): ("a double", re.compile(rb"[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|inf|(nan|NAN)(\(\w*\))?)"), _double),
    # Python reads no more than 4,300 digits at once.
    ord("("): ("a big number of at most 4,000 digits", re.compile(rb"[+-]?\d{1,4000}"), int),
}
SCALARS: Final = frozenset({_SIMPLE, _ERROR, _INTEGER, *_RARE})


def string(mark: int, raw: bytes) -> Reply:
    """Return the value of a string.

    >>> string(ord("$"), b"hello"), string(ord("="), b"txt:hello")
    (b'hello', b'hello')

    Raises:
        ProtocolError: a text does not begin as one.
    """
    if mark == _BULK_ERROR:
        return _error(raw)
    if mark == _TEXT:
        if raw[3:4] != b":":
            raise fault("three letters and a colon before a text", raw)
        return raw[4:]
    return raw


def _error(text: bytes) -> RemoteError:
    return RemoteError(text.decode("utf-8", "backslashreplace"))


def size(text: bytes, most: int) -> int:
    """Return an announced size.

    Raises:
        ProtocolError: it is none, or more than `most`.
    """
    number = _SIZES.get(text)
    if number is None:
        number = parse_integer(text)
        if number is None or not 0 <= number <= most:
            raise fault(f"a size from 0 to {most:,}", text)
    return number


def hashable(value: Reply) -> Hashable:
    """Return what stands for a value in a set or among a map's keys.

    >>> hashable([1, [b"a"]])
    (1, (b'a',))
    """
    match value:
        case list():
            return tuple(map(hashable, value))
        case dict():
            return frozenset((key, hashable(each)) for key, each in value.items())
        case set():
            return frozenset(value)
        case _:
            return value


def fault(expected: str, found: bytes | bytearray) -> ProtocolError:
    """Return the error that says what was expected and what was found."""
    return ProtocolError(f"expected {expected}, found {bytes(found[:_LONGEST_SHOWN])!r}")
