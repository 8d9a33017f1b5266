"""The tour's data: the names of all Unicode characters, from Python's own tables."""

import sys
import unicodedata
from collections.abc import Iterator


def character_names() -> Iterator[tuple[str, str]]:
    """Return every character that has a name: name and character, such as ("SNOWMAN", "☃"), by code point.

    About 138,000 pairs, of which CPython's `unicodedata` holds the names; the number grows with Unicode.
    """
    for code_point in range(sys.maxunicode + 1):
        name = unicodedata.name(chr(code_point), None)
        if name is not None:
            yield name, chr(code_point)
