"""Rows of import and export: any bytes survive the three formats, and a malformed line is told, not guessed at."""

import csv
import io
import json
import random

import pytest

from kvs.cli.rows.formats import codec_for
from kvs.cli.text import InputError, escape, show, unescape
from kvs.cli.words import split_words
from kvs.engine import MAX_KEY_BYTES

FORMATS = ["tsv", "csv", "jsonl"]
NASTY = [
    b"", b" ", b"\t", b"\n", b"\r", b"\r\n", b'"', b'""', b"\\", b"\\t", b"\\x41", b",", b"\0", b"\xff", b"'", b" a ",
    b"\x1b[2J", b"\xed\xa0\x80", b"a\n\nb", "\u2028\x85\ufeff".encode(), "☃".encode(), "☃".encode()[:2],
    bytes(range(256)),
]  # fmt: skip


def pairs(rng: random.Random) -> list[tuple[bytes, bytes]]:
    """Return pairs of nasty and random bytes."""
    made = [(key, value) for key in NASTY for value in NASTY]
    alphabet = [b'"', b",", b"\t", b"\n", b"\r", b"\\", b"x", b"0", b"\xc3", b"\xa9", b" ", b"\xef\xbb\xbf", b"\0"]
    keys = (b"".join(rng.choices(alphabet, k=rng.randrange(8))) for _ in range(2_000))
    return [*made, *((key, rng.randbytes(rng.randrange(20))) for key in keys)]


@pytest.mark.parametrize("name", FORMATS)
def test_any_bytes_survive(name: str, rng: random.Random) -> None:
    """What is exported is imported as it was: every pair, byte for byte, in order."""
    codec = codec_for("-", name)
    written = pairs(rng)
    rows = list(codec.decode(io.BytesIO(b"".join(codec.encode(*pair) for pair in written))))
    assert [row.fault for row in rows if row.pair is None] == []
    assert [row.pair for row in rows] == written


@pytest.mark.parametrize("name", ["tsv", "jsonl"])
def test_a_row_is_one_line(name: str) -> None:
    """A row is one line of UTF-8 text, whatever its bytes: so that line numbers, grep and sort work."""
    codec = codec_for("-", name)
    for key in NASTY:
        row = codec.encode(key, key)
        assert row.count(b"\n") == 1


def test_other_programs_read_the_csv() -> None:
    """Python's own csv and json modules read what export wrote, text for text."""
    words = [("snow, man", 'a "b"'), ("é\n☃", ""), ("", " x "), ("a\rb", "c\r\nd")]
    text = b"".join(codec_for("x.csv", None).encode(a.encode(), b.encode()) for a, b in words).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [list(pair) for pair in words]
    lines = b"".join(codec_for("x.jsonl", None).encode(a.encode(), b.encode()) for a, b in words).splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == words


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("tsv", b"no tab", "no tab"),
        ("tsv", b"", "no tab"),
        ("tsv", b"a\tb\tc", "2 tabs"),
        ("tsv", b"a\t\\q", "a lone backslash before 'q'"),
        ("tsv", b"a\t\\", "a lone backslash before 'nothing'"),
        ("tsv", b"a\t\\x4", "a lone backslash before 'x'"),
        ("tsv", b"k" * (MAX_KEY_BYTES + 1) + b"\tv", "65,535"),
        ("csv", b"one", "found 1"),
        ("csv", b"", "found 0"),
        ("csv", b"a,b,c", "found 3"),
        ("csv", b'"a"b,c', "quoting"),
        ("csv", b'a,"open', "quoting"),
        ("csv", b"k" * (MAX_KEY_BYTES + 1) + b",v", "65,535"),
        ("jsonl", b"", "one JSON object a line"),
        ("jsonl", b"[]", "an object such as"),
        ("jsonl", b'{"key": "a"}', 'either "value"'),
        ("jsonl", b'{"key": "a", "key_hex": "61", "value": ""}', "found both"),
        ("jsonl", b'{"key": "a", "value": 1}', "to be a string"),
        ("jsonl", b'{"key": "a", "value_hex": "0"}', "pairs of hex digits"),
        ("jsonl", b'{"key": "\\ud800", "value": ""}', "characters of Unicode"),
        ("jsonl", b'{"key": "a", "value": "", "ttl": "1"}', "'ttl'"),
        ("jsonl", b'{"key": "a", "value": ""} x', "one JSON object a line"),
        ("jsonl", b"\xff\xfe", "one JSON object a line"),
        ("jsonl", b"[" * 100_000, "one JSON object a line"),
    ],
)
def test_malformed_lines_are_told(name: str, line: bytes, expected: str) -> None:
    """A malformed line is a fault with its number and with what was expected; what stood before it is read."""
    codec = codec_for("-", name)
    rows = list(codec.decode([codec.encode(b"k", b"v"), line + b"\n"]))
    assert [row.line for row in rows] == [1, 2]
    assert rows[0].pair == (b"k", b"v")
    assert rows[1].pair is None
    assert expected in rows[1].fault


@pytest.mark.parametrize("name", FORMATS)
def test_reading_goes_on_after_a_malformed_line(name: str) -> None:
    """What stands after a malformed line is read as if the line were not there."""
    codec = codec_for("-", name)
    bad = {"tsv": b"bad\n", "csv": b'"a"b,c\n', "jsonl": b"{\n"}[name]
    rows = list(codec.decode([bad, codec.encode(b"k", b"v"), bad, codec.encode(b"l", b"w")]))
    assert [(row.line, row.pair) for row in rows] == [(1, None), (2, (b"k", b"v")), (3, None), (4, (b"l", b"w"))]


def test_lines_are_counted_through_quoted_line_ends() -> None:
    """In CSV a value may span lines; the number told for a fault is that of the row's first line."""
    rows = list(codec_for("x.csv", None).decode([b'a,"1\n', b'2"\n', b"bad\n"]))
    assert [row.line for row in rows] == [1, 3]


@pytest.mark.parametrize("name", ["tsv", "csv"])
def test_windows_line_ends_are_line_ends(name: str) -> None:
    """A carriage return before the line feed is not part of the value."""
    assert next(codec_for("-", name).decode([{"tsv": b"k\tv\r\n", "csv": b"k,v\r\n"}[name]])).pair == (b"k", b"v")


@pytest.mark.parametrize(
    ("file", "given", "row"),
    [
        ("-", None, b"k\tv\n"),
        ("a.tsv", None, b"k\tv\n"),
        ("a.CSV", None, b"k,v\n"),
        ("a.csv.gz/b", None, b"k\tv\n"),
        ("a.jsonl", None, b'{"key": "k", "value": "v"}\n'),
        ("a.csv", "tsv", b"k\tv\n"),
    ],
)
def test_format_is_told_by_the_ending(file: str, given: str | None, row: bytes) -> None:
    """The file's ending names the format, and --format overrules it."""
    assert codec_for(file, given).encode(b"k", b"v") == row


def test_escaped_text_is_one_line_and_comes_back(rng: random.Random) -> None:
    """Escaped text is printable UTF-8 without tab or line end, and unescape gives the bytes back."""
    for raw in [*NASTY, *(rng.randbytes(rng.randrange(12)) for _ in range(3_000))]:
        text = escape(raw)
        assert unescape(text) == raw
        assert not set(text) & set(b"\t\n\r\x1b\0")
        text.decode()


def test_what_the_repl_shows_in_quotes_can_be_typed(rng: random.Random) -> None:
    """Bytes shown in double quotes are a word of the repl that means those bytes; others are shown as they are."""
    for raw in [*NASTY, *(rng.randbytes(rng.randrange(12)) for _ in range(3_000))]:
        shown = show(raw).encode()
        if shown.startswith(b'"'):
            assert split_words(b"set " + shown) == [b"set", raw]
        else:
            assert shown == raw


@pytest.mark.parametrize("line", [b'"a', b"'a", b"a\\", b'"a\\"', b"a\\q", b"\\x1"])
def test_broken_quotes_are_refused(line: bytes) -> None:
    """An open quote or an escape without meaning is an error, not a guess."""
    with pytest.raises(InputError):
        split_words(line)
