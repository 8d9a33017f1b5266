"""Showing where two strings of bytes part."""

from typing import Final

BEFORE: Final = 24
SHOWN: Final = 64


def first_difference(wanted: bytes, found: bytes) -> int:
    """Return the offset of the first byte that differs; where one ends early, that is its end.

    >>> first_difference(b"snowman", b"snowmen")
    5
    >>> first_difference(b"snow", b"snowman")
    4
    """
    pairs = zip(wanted, found, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(wanted), len(found)))


def point_at(wanted: bytes, found: bytes) -> str:
    """Return both strings with a caret under the first byte that differs.

    >>> print(point_at(b"snowman", b"snowmen"))
      expected b'snowman'
      found    b'snowmen'
                      ^ byte 5
    """
    at = first_difference(wanted, found)
    start = max(0, at - BEFORE)
    column = len(repr(found[start:at])) - 1
    rows = [f"  expected {wanted[start : start + SHOWN]!r}", f"  found    {found[start : start + SHOWN]!r}"]
    return "\n".join([*rows, " " * (11 + column) + f"^ byte {at}"])
