"""Frames as bytes: every reply is one that the clients' parser reads back, and integers are strict."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kvs.errors import RemoteError
from kvs.resp import frame
from kvs.resp.decoder import CommandDecoder
from kvs.resp.frame import MAX_INTEGER, MIN_INTEGER, Plain
from kvs.resp.reply import ReplyDecoder

STRICT = [
    (b"0", 0),
    (b"7", 7),
    (b"-7", -7),
    (b"9223372036854775807", MAX_INTEGER),
    (b"-9223372036854775808", MIN_INTEGER),
    *(
        (text, None)
        for text in (b"", b"-", b"--1", b"+1", b" 1", b"1 ", b"1_0", b"01", b"-0", b"-01", b"1.0", b"1e3", b"0x1")
    ),
    *(
        (text, None)
        for text in (b"9223372036854775808", b"-9223372036854775809", b"9" * 20, b"9" * 5_000, b"1\n", b"1\0")
    ),
    *((text.encode(), None) for text in ("\u0661", "\u00b2", "\uff11", "1\u2009")),
]

PLAIN = some.recursive(
    some.none() | some.booleans() | some.integers(MIN_INTEGER, MAX_INTEGER) | some.binary() | some.text(max_size=9),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("text", "number"), STRICT, ids=lambda value: repr(value)[:30])
def test_an_integer_is_written_in_one_way_only(text: bytes, number: int | None) -> None:
    """An integer is ASCII digits as they would be printed, of 64 bits; all else that int() takes is none."""
    assert frame.parse_integer(text) == number


def test_every_integer_that_is_printed_is_read(rng: random.Random) -> None:
    """What is printed is read back, to the last of 64 bits; one beyond either end is not."""
    for bits in range(64):
        for sign in (1, -1):
            number = sign * rng.getrandbits(bits)
            assert frame.parse_integer(b"%d" % number) == number
    for number in (MAX_INTEGER + 1, MIN_INTEGER - 1):
        assert frame.parse_integer(b"%d" % number) is None


def as_read(value: Plain, protocol: int) -> object:
    """Return what a client has of a value after a round trip."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool) and protocol == 2:
        return int(value)
    if isinstance(value, dict):
        pairs = [(key.encode(), as_read(each, protocol)) for key, each in value.items()]
        return dict(pairs) if protocol == 3 else [part for pair in pairs for part in pair]
    return [as_read(each, protocol) for each in value] if isinstance(value, list) else value


@given(value=PLAIN, protocol=some.sampled_from([2, 3]))
def test_any_value_is_read_back_as_it_was_sent(value: Plain, protocol: int) -> None:
    """Whatever a reply is made of, a client reads it back, and exactly that: nothing before it and nothing behind."""
    raw = frame.encode(value, protocol)
    decoder = ReplyDecoder()
    assert decoder.feed(raw) == [as_read(value, protocol)]
    assert decoder.is_between
    for mark in (b"_", b"#", b"%"):
        assert protocol == 3 or not raw.startswith(mark), "version 2 has neither nulls of their own nor maps"


@given(some.text(max_size=40), some.sampled_from(["ERR", "NOAUTH"]))
def test_an_error_is_one_line_whatever_it_says(text: str, code: str) -> None:
    """What a client sent stands in errors: no line end in it may look like the next reply."""
    raw = frame.error(text, code)
    assert raw.endswith(b"\r\n")
    assert b"\r" not in raw[:-2]
    assert b"\n" not in raw[:-2]
    (found,) = ReplyDecoder().feed(raw)
    assert isinstance(found, RemoteError)
    assert found.code == code


@given(some.lists(some.binary(max_size=30), min_size=1, max_size=40))
def test_a_command_is_read_back_as_it_was_sent(words: list[bytes]) -> None:
    """Any words become a frame that the server's decoder reads back."""
    assert CommandDecoder().feed(frame.encode_command(words)) == [words]
