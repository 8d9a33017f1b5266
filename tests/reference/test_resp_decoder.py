"""The decoder of commands, case by case: what each input comes to, however it is cut."""

import itertools
import random

import pytest
from support.plainresp import read
from support.wire import frame

from kvs.errors import ProtocolError
from kvs.resp.decoder import CommandDecoder, _take_plain

Words = list[list[bytes]]
LONGEST_LINE = 65_536

GOOD: list[tuple[bytes, Words]] = [
    (b"*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
    (b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [[b"GET", b"k"]]),
    (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", [[b"GET", b""]]),
    (b"*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n", [[b"a", b"\r\n"]]),
    (b"*1\r\n$11\r\n*1\r\n$1\r\nx\r\n\r\n", [[b"*1\r\n$1\r\nx\r\n"]]),
    (b"*1\r\n$1\r\n\r\r\n*1\r\n$1\r\n\n\r\n", [[b"\r"], [b"\n"]]),
    (b"*1\r\n$3\r\na\r\n\r\n", [[b"a\r\n"]]),
    (b"*0\r\nPING\r\n", [[b"PING"]]),
    (b"*-1\r\n*1\r\n$1\r\nx\r\n", [[b"x"]]),
    (b"*-9223372036854775808\r\nPING\n", [[b"PING"]]),
    (frame(*["w"] * 40), [[b"w"] * 40]),
    (frame("SET", "k", b"v" * 1025), [[b"SET", b"k", b"v" * 1025]]),
    (frame("SET", "k", b"\0\xff" * 9000) + frame("GET", "k"), [[b"SET", b"k", b"\0\xff" * 9000], [b"GET", b"k"]]),
    (b"PING\r\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"\r\n\n  \t\r\nPING\r\n", [[b"PING"]]),
    (b"SET k v\r\n" + frame("GET", "k") + b"DEL k\n", [[b"SET", b"k", b"v"], [b"GET", b"k"], [b"DEL", b"k"]]),
    ('SET k "\\xe2\\x98\\x83" ☃\r\n'.encode(), [[b"SET", b"k", "☃".encode(), "☃".encode()]]),
    (b"a " * 32_767 + b"\r\n", [[b"a"] * 32_767]),
]

COUNT = "invalid multibulk length"
SIZE = "invalid bulk length"
END = "expected CRLF after a bulk string"
TEXT = "expected '*' or a line of text"

BAD: list[tuple[bytes, str]] = [
    (b"*3000000000\r\n", COUNT),
    (b"*1048577\r\n", COUNT),
    (b"*abc\r\n", COUNT),
    (b"* 1\r\n", COUNT),
    (b"*1 \r\n", COUNT),
    (b"*+1\r\n", COUNT),
    (b"*01\r\n", COUNT),
    (b"*1_0\r\n", COUNT),
    (b"*-0\r\n", COUNT),
    (b"*\r\n", COUNT),
    (b"*-\r\n", COUNT),
    ("*\u0661\r\n".encode(), COUNT),
    (b"*1\n$4\nPING\n", COUNT),
    (b"*99999999999999999999\r\n", COUNT),
    (b"*" + b"1" * 31, COUNT),
    (b"*1\r\n$-10\r\n", SIZE),
    (b"*1\r\n$-1\r\n", SIZE),
    (b"*1\r\n$abc\r\n", SIZE),
    (b"*1\r\n$+4\r\nPING\r\n", SIZE),
    (b"*1\r\n$ 4\r\nPING\r\n", SIZE),
    (b"*1\r\n$04\r\nPING\r\n", SIZE),
    (b"*1\r\n$4\nPING\n", SIZE),
    (b"*1\r\n$536870913\r\n", SIZE),
    (b"*1\r\n$99999999999999999999\r\n", SIZE),
    (b"*1\r\n$9223372036854775808\r\n", SIZE),
    (b"*1\r\n$4\r\nPINGPONG", END),
    (b"*1\r\n$4\r\nPING\n", END),
    (b"*1\r\n$4\r\nPING\r\r", END),
    (b"*1\r\n$4\r\nPING\0\0", END),
    (b"*1\r\n:4\r\n", "expected '$', got ':'"),
    (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
    (b"*2\r\n$1\r\na\r\n*1\r\n", "expected '$', got '*'"),
    (b"$4\r\nPING\r\n", TEXT),
    (b":1\r\n", TEXT),
    (b"+OK\r\n", TEXT),
    (b"12\r\n", TEXT),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", TEXT),
    (b"\0", TEXT),
    (b"\xff\xfe", TEXT),
    ("☃\r\n".encode(), TEXT),
    (b"PING\0\r\n", TEXT),
    (b"PI\x1bNG", TEXT),
    (b"PING\x7f", TEXT),
    (b'SET k "a\r\n', "unbalanced quotes in request"),
    (b"SET k 'a\\'\r\n", "unbalanced quotes in request"),
    (b'SET k "a"b\r\n', "unbalanced quotes in request"),
    (b"a" * (LONGEST_LINE + 1), "too big inline request"),
    (b"a" * LONGEST_LINE + b"\n", "too big inline request"),
]


def cuts(raw: bytes, rng: random.Random) -> list[list[bytes]]:
    """Return the bytes whole, one by one, cut in two in up to fifty places, and cut at random."""
    places = range(1, len(raw)) if len(raw) < 50 else [1, 2, *sorted(rng.sample(range(3, len(raw)), 48))]
    loose = [0, *sorted(rng.choices(range(len(raw) + 1), k=9)), len(raw)]
    return [
        [raw],
        [raw[at : at + 1] for at in range(len(raw))],
        [raw[begin:end] for begin, end in itertools.pairwise(loose)],
        *([raw[:at], raw[at:]] for at in places),
    ]


@pytest.mark.parametrize(("raw", "wanted"), GOOD, ids=[repr(raw[:30]) for raw, _ in GOOD])
def test_commands_come_out_the_same_however_they_are_cut(raw: bytes, wanted: Words, rng: random.Random) -> None:
    """Frames and lines become their words, whole or in pieces, and nothing is left over."""
    for pieces in cuts(raw, rng):
        decoder = CommandDecoder()
        assert [command for piece in pieces for command in decoder.feed(piece)] == wanted
        assert decoder.fault is None
        assert decoder.is_between
        assert (decoder.pending_bytes, decoder.missing_bytes) == (0, 0)
    assert read(raw) == (wanted, None, 0), "the plain reading that other tests compare with"


@pytest.mark.parametrize(("raw", "fault"), BAD, ids=[repr(raw[:30]) for raw, _ in BAD])
def test_what_is_no_command_is_a_fault_at_once(raw: bytes, fault: str, rng: random.Random) -> None:
    """A broken stream gives the commands before the break and one fault, and after it nothing, however it is cut."""
    before = frame("GET", "k")
    for pieces in cuts(before + raw, rng):
        decoder = CommandDecoder()
        assert [command for piece in pieces for command in decoder.feed(piece)] == [[b"GET", b"k"]]
        assert isinstance(decoder.fault, ProtocolError), "without waiting for more"
        assert str(decoder.fault) == fault
        assert not decoder.is_between
        assert decoder.feed(b"PING\r\n" + before) == [], "where the next command begins cannot be known"
        assert str(decoder.fault) == fault
    assert read(raw)[1] == fault, "the plain reading that other tests compare with"


@pytest.mark.parametrize("raw", [frame("SET", "k", "a\r\nb"), frame("SET", "k", "v" * 2000), b'SET k "a b"\r\n'])
def test_a_command_comes_out_with_its_last_byte(raw: bytes) -> None:
    """A command is given out when its last byte is there, neither before nor after; until then it is pending."""
    decoder = CommandDecoder()
    for at in range(len(raw) - 1):
        assert decoder.feed(raw[at : at + 1]) == []
        assert decoder.pending_bytes == at + 1
        assert not decoder.is_between
    assert len(decoder.feed(raw[-1:])) == 1
    assert decoder.is_between


def test_what_is_missing_of_a_word_is_known() -> None:
    """The decoder tells how much of a word has still to come, so that it can be received in large pieces."""
    decoder = CommandDecoder()
    decoder.feed(b"*2\r\n$3\r\nGET\r\n$1000\r\nabc")
    assert decoder.missing_bytes == 997
    decoder.feed(b"x" * 997)
    assert decoder.missing_bytes == 0
    assert decoder.feed(b"\r\n") == [[b"GET", b"abc" + b"x" * 997]]


def test_limits_are_where_they_are_said_to_be() -> None:
    """A million words and 512 MiB may be announced, and a line have 64 KiB with its end; one more is a fault."""
    for raw in (b"*1048576\r\n", b"*1\r\n$536870912\r\n", b"a" * LONGEST_LINE):
        decoder = CommandDecoder()
        decoder.feed(raw)
        assert decoder.fault is None, raw[:20]
    line = b"a" * (LONGEST_LINE - 1)
    assert CommandDecoder().feed(line + b"\n") == [[line]]


def walked(raw: bytes) -> tuple[Words, str]:
    """Return what the walk alone makes of some bytes: the commands, and how it goes on after them."""
    decoder = CommandDecoder()
    decoder.is_between = False  # as in the middle of a command: there the quick way is not tried
    return decoder.feed(raw), str(decoder.fault or decoder.pending_bytes)


def test_the_quick_way_and_the_walk_agree(rng: random.Random) -> None:
    """What the quick way takes, of right and of wrong streams, is what the walk makes of it, and it stops in time."""
    words = [
        b"",
        b"GET",
        b"k",
        b"v",
        b"a",
        b"b",
        b"c",
        b"\r\n",
        b"a\r\nb",
        b"\r",
        b"\n",
        b"$1\r\nx",
        b"v" * 1024,
        b"*1",
        b"v" * 1025,
    ]
    taken = 0
    for _ in range(5_000):
        commands = [rng.choices(words, k=rng.choice([1, 1, 2, 3, 32, 33])) for _ in range(rng.randrange(1, 5))]
        raw = bytearray(b"".join(frame(*each) for each in commands))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(raw) + 1)
            raw[at : at + rng.randrange(3)] = rng.choice([b"", b"0", b"1", b"\r\n", b"\r", b"\n", b"*", b"$", b" "])
        data = bytes(raw)
        quick: Words = []
        at = _take_plain(data, quick)
        assert (quick + walked(data[at:])[0], walked(data[at:])[1]) == walked(data), data
        assert walked(data[:at]) == (quick, "0"), "it ends between two commands"
        taken += len(quick)
    assert taken > 2_000
