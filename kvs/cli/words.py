r"""A line of the repl as words: what stands between spaces, with quotes and with escapes for any byte.

Layout of a line:

    line  = { space } { word space { space } }
    word  = { plain | "in double quotes, \n and \x00 are escapes" | 'in single quotes, \ is just itself' | \escape }
"""

import re
from typing import Final

from kvs.cli.text import InputError, unescape

_PIECE: Final = re.compile(
    rb"""(?P<space>\s+)|'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<plain>(?:\\.|[^\s"'\\])+)""", re.DOTALL
)


def split_words(line: bytes) -> list[bytes]:
    r"""Return the words of a line.

    >>> split_words(rb'set "snow man" \xe2\x98\x83')
    [b'set', b'snow man', b'\xe2\x98\x83']

    Raises:
        InputError: a quote is not closed, or an escape has no meaning.
    """
    words: list[bytes] = []
    at, is_between = 0, True
    while at < len(line):
        piece = _PIECE.match(line, at)
        if piece is None:
            missing = "a character after the last backslash" if line[at:] == b"\\" else f"a closing {chr(line[at])}"
            raise InputError(f"expected {missing}, found the end of the line")
        at = piece.end()
        if piece.lastgroup != "space":
            if is_between:
                words.append(b"")
            words[-1] += piece["single"] if piece.lastgroup == "single" else unescape(piece[piece.lastgroup or 0])
        is_between = piece.lastgroup == "space"
    return words
