r"""Glob: the patterns of KEYS and SCAN.

    *        any bytes             ?      one byte
    [ab]     one of them           [^ab]  none of them        [a-z]  one of a range
    \x       x itself

Cost: at most pattern × text steps, whatever the pattern: on a mismatch only the last star is tried again, never those
before it. (Trying all of them takes forever on a hundred stars.)
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from kvs.resp.command import CommandError

MAX_PATTERN_BYTES: Final = 1024

Piece: TypeAlias = frozenset[int] | None
"""The bytes that one place of the text may hold; None for a star."""
_ANY: Final = frozenset(range(256))


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, ready to be compared with many keys. Make one with `Glob.parse`.

    Args:
        pieces: what the places of a text may hold.
        literal: the text itself, where only one text matches.
        prefix: what every text that matches begins with.
    """

    pieces: tuple[Piece, ...]
    literal: bytes | None
    prefix: bytes

    @classmethod
    def parse(cls, pattern: bytes) -> "Glob":
        """Return the pattern that these bytes write.

        Raises:
            CommandError: longer than MAX_PATTERN_BYTES.
        """
        if len(pattern) > MAX_PATTERN_BYTES:
            raise CommandError(f"pattern is longer than {MAX_PATTERN_BYTES:,} bytes")
        pieces = tuple(_pieces(pattern))
        prefix = bytearray()
        for piece in pieces:
            if piece is None or len(piece) != 1:
                break
            prefix += bytes(piece)
        is_literal = len(prefix) == len(pieces)
        return cls(pieces, bytes(prefix) if is_literal else None, bytes(prefix))

    def matches(self, text: bytes) -> bool:
        r"""Tell whether a text is of this pattern.

        >>> Glob.parse(b"h[a-e]*o").matches(b"hello"), Glob.parse(b"h?llo").matches(b"hllo")
        (True, False)
        """
        pieces, at, place = self.pieces, 0, 0
        star, resume = -1, 0  # the last star, and where in the text what follows it is tried next
        while at < len(text):
            piece = pieces[place] if place < len(pieces) else frozenset()
            if piece is None:
                star, resume = place, at
                place += 1
            elif text[at] in piece:
                at, place = at + 1, place + 1
            elif star >= 0:
                resume += 1
                at, place = resume, star + 1
            else:
                return False
        return all(piece is None for piece in pieces[place:])


def _pieces(pattern: bytes) -> list[Piece]:
    """Take a pattern apart."""
    pieces: list[Piece] = []
    at = 0
    while at < len(pattern):
        mark = pattern[at : at + 1]
        if mark == b"*":
            if not pieces or pieces[-1] is not None:  # two stars in a row are one
                pieces.append(None)
        elif mark == b"?":
            pieces.append(_ANY)
        elif mark == b"[":
            chosen, at = _choice(pattern, at + 1)
            pieces.append(chosen)
        else:
            if mark == b"\\" and at + 1 < len(pattern):
                at += 1
            pieces.append(frozenset(pattern[at : at + 1]))
        at += 1
    return pieces


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
