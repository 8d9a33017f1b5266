r"""Glob: the patterns of KEYS and SCAN.

    *        any bytes             ?      one byte
    [ab]     one of them           [^ab]  none of them        [a-z]  one of a range
    \x       x itself

A pattern is a row of places, each of which takes one byte, with a star before some of them. What has been read of a
text may have filled several numbers of places: with `*a*`, after "ba", none and one. All those numbers are kept at
once, as the bits of one integer, and each byte moves them all on. So nothing is ever tried again: the cost is one step
a byte, whatever the pattern. (Trying one way after another takes forever on a hundred stars.)

Source: Baeza-Yates and Gonnet, "A new approach to text searching", 1992: the shift-and method.
"""

from dataclasses import dataclass
from typing import Final

from kvs.resp.command import CommandError

MAX_PATTERN_BYTES: Final = 1024

_ANY: Final = frozenset(range(256))


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, ready to be compared with many keys. Make one with `Glob.parse`.

    Args:
        literal: the text itself, where only one text matches.
        prefix: what every text that matches begins with.
        size: how many places there are; the highest bit.
        stars: the bits of those numbers of filled places behind which a star stands.
        moves: for each byte the bits that can be reached with it: bit n + 1 if place n takes it.
    """

    literal: bytes | None
    prefix: bytes
    size: int
    stars: int
    moves: tuple[int, ...]

    @classmethod
    def parse(cls, pattern: bytes) -> "Glob":
        """Return the pattern that these bytes write.

        Raises:
            CommandError: longer than MAX_PATTERN_BYTES.
        """
        if len(pattern) > MAX_PATTERN_BYTES:
            raise CommandError(f"pattern is longer than {MAX_PATTERN_BYTES:,} bytes")
        places, stars = _places(pattern)
        moves, moves_of_any = [0] * 256, 0
        for number, place in enumerate(places):
            if place is _ANY:
                moves_of_any |= 2 << number
                continue
            for byte in place:
                moves[byte] |= 2 << number
        prefix = bytearray()
        for number, place in enumerate(places):
            if stars >> number & 1 or len(place) != 1:
                break
            prefix += bytes(place)
        is_literal = not stars and len(prefix) == len(places)
        literal = bytes(prefix) if is_literal else None
        return cls(literal, bytes(prefix), len(places), stars, tuple(each | moves_of_any for each in moves))

    def matches(self, text: bytes) -> bool:
        r"""Tell whether a text is of this pattern.

        >>> Glob.parse(b"h[a-e]*o").matches(b"hello"), Glob.parse(b"h?llo").matches(b"hllo")
        (True, False)
        """
        if self.literal is not None:
            return text == self.literal
        if not text.startswith(self.prefix):
            return False
        stars, moves = self.stars, self.moves
        done = 1 << self.size
        filled = 1 << len(self.prefix)
        for byte in memoryview(text)[len(self.prefix) :]:
            if filled & stars & done:
                return True  # a star at the end takes the rest
            filled = (filled << 1 & moves[byte]) | (filled & stars)
            if not filled:
                return False
        return bool(filled & done)


def _places(pattern: bytes) -> tuple[list[frozenset[int]], int]:
    """Take a pattern apart: return the bytes that each place takes, and the stars."""
    places: list[frozenset[int]] = []
    stars = at = 0
    while at < len(pattern):
        mark = pattern[at : at + 1]
        if mark == b"*":
            stars |= 1 << len(places)
        elif mark == b"?":
            places.append(_ANY)
        elif mark == b"[":
            chosen, at = _choice(pattern, at + 1)
            places.append(chosen)
        else:
            if mark == b"\\" and at + 1 < len(pattern):
                at += 1
            places.append(frozenset(pattern[at : at + 1]))
        at += 1
    return places, stars


def _choice(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """Return the bytes that a bracket allows, and where it ends; one that is not closed ends with the pattern."""
    is_inverted = pattern[at : at + 1] == b"^"
    at += is_inverted
    chosen: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
            chosen.add(pattern[at])
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at], pattern[at + 2]))
            chosen.update(range(low, high + 1))
            at += 2
        else:
            chosen.add(pattern[at])
        at += 1
    return (_ANY - chosen if is_inverted else frozenset(chosen)), at
