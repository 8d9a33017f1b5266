"""Inline commands: words, quotes and escapes, as Redis reads them."""

import contextlib
import random
from time import process_time

import pytest
from support.plainresp import BrokenError, split

from kvs.errors import ProtocolError
from kvs.resp.inline import split_line

GOOD = [
    (b"", []),
    (b" \t ", []),
    (b"PING", [b"PING"]),
    (b"  SET\tk   v ", [b"SET", b"k", b"v"]),
    (b"SET k\rv", [b"SET", b"k", b"v"]),
    (b'""', [b""]),
    (b"''", [b""]),
    (b'SET k "a b"', [b"SET", b"k", b"a b"]),
    (b"\"a\" 'b'", [b"a", b"b"]),
    (b'"\\n\\r\\t\\b\\a\\\\\\"\\\'\\q"', [b"\n\r\t\b\a\\\"'q"]),
    (b'"\\x00\\xfF\\xfg\\x1"', [b"\x00\xffxfgx1"]),
    (b'"it\'s"', [b"it's"]),
    (b"'it\\'s'", [b"it's"]),
    (b"'a\\nb\\\\c\"'", [b'a\\nb\\\\c"']),
    (b"a\\nb", [b"a\\nb"]),
    (b'a"b c"', [b"ab c"]),
    (b"k'v' w", [b"kv", b"w"]),
    (b'a "b"\rc', [b"a", b"b", b"c"]),
    ('"☃" ☃'.encode(), ["☃".encode(), "☃".encode()]),
]
BAD = [
    b'"',
    b"'",
    b'"a',
    b"'a",
    b'"a"b',
    b"'a'b",
    b"\"a\"'b'",
    b"'a\\'",
    b'"a\\"',
    b'a"',
    b"a'b",
    b"'\\\\'",
    b'x "y" z"',
]


@pytest.mark.parametrize(("line", "words"), GOOD)
def test_a_line_is_its_words(line: bytes, words: list[bytes]) -> None:
    """Blanks part words, quotes keep them together, and escapes mean what they mean to Redis."""
    assert split_line(line) == words


@pytest.mark.parametrize("line", BAD)
def test_a_quote_that_is_not_closed_is_a_fault(line: bytes) -> None:
    """A quote that is not closed, or closed in the middle of a word, is a protocol error and no guess."""
    with pytest.raises(ProtocolError, match="unbalanced quotes in request"):
        split_line(line)


def test_any_line_is_split_as_the_plain_reading_splits_it(rng: random.Random) -> None:
    """Thirty thousand lines of quotes, escapes and blanks come to the same words, or the same fault."""
    faults = 0
    for _ in range(30_000):
        line = bytes(rng.choices(b"\"\"''\\\\x41n ab\t\r\xe2", k=rng.randrange(14)))
        try:
            wanted = [word.encode("latin-1") for word in split(line.decode("latin-1") + "\n")]
        except BrokenError:
            faults += 1
            with pytest.raises(ProtocolError):
                split_line(line)
        else:
            assert split_line(line) == wanted, line
    assert 5_000 < faults < 25_000, "both are to be seen"


@pytest.mark.parametrize(
    "piece", [b"a ", b"'' ", b'"a" ', b"\\x41", b"\\", b"\\'", b'a"b" '], ids=lambda piece: repr(bytes(piece))
)
@pytest.mark.parametrize("quote", [b"", b'"', b"'"])
def test_time_grows_with_the_line_alone(piece: bytes, quote: bytes) -> None:
    """A line of 64 KiB, closed or not, takes about eight times as long as one of 8 KiB, and no deep stack."""

    def seconds(size: int) -> float:
        line = quote + piece * (size // len(piece))
        began = process_time()
        for text in (line, line + quote):
            with contextlib.suppress(ProtocolError):
                split_line(text)
        return process_time() - began

    small = min(seconds(8_000) for _ in range(3))
    assert min(seconds(64_000) for _ in range(3)) < 30 * small + 0.005
