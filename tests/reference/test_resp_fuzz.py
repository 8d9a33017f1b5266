"""Two hundred thousand streams, right and wrong, cut up: the decoder beside a plain reading of the grammar."""

import random
import tracemalloc
from collections.abc import Callable, Iterator
from time import process_time
from typing import Final

import pytest
from support.plainresp import read
from support.wire import frame

from kvs.resp.decoder import CommandDecoder

INPUTS: Final = 50_000
"""For each of the four kinds."""
QUICK_S: Final = 0.010
SLACK_BYTES: Final = 64 * 1024
WORD_BYTES: Final = 64
"""What Python needs for a word beside its bytes: an object and a place in a list."""

WORDS: Final = [
    b"",
    b"GET",
    b"SET",
    b"k",
    b"key:000000000017",
    b"\r\n",
    b"a\r\nb",
    b"$3\r\nfoo\r\n",
    b"\0\xff",
    b"x" * 300,
]
LINES: Final = [
    b"PING\r\n",
    b"SET k v\n",
    b"\r\n",
    b"\n",
    b'SET k "a b"\r\n',
    b"GET 'it\\'s'\n",
    b'"\\x41\\n"\r\n',
    b" a \t b\r\n",
]
TOKENS: Final = [
    *(
        b"*",
        b"$",
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\t",
        b'"',
        b"'",
        b"\\",
        b"\\x41",
        b"\\xg0",
        b"-",
        b"+",
        b"0",
        b"1",
        b"2",
    ),
    *(b"*1\r\n", b"*2\r\n", b"*0\r\n", b"*-1\r\n", b"$0\r\n", b"$1\r\n", b"$3\r\n", b"$-1\r\n", b"$3\n", b"*01\r\n"),
    *(b"*1048577\r\n", b"$536870913\r\n", b"*99999999999999999999\r\n", b"$" + b"1" * 40, b"*" + b"1" * 31),
    *(b"GET", b"k", b"a\r\nb", b"PING\r\n", b"\0", b"\x16\x03\x01", b"\xff", b"\x7f", "\u0661".encode(), b"x" * 60),
]

Make = Callable[[random.Random], bytes]


def valid(rng: random.Random) -> bytes:
    """Return some commands, frames and lines."""
    parts = [
        rng.choice(LINES) if rng.random() < 0.2 else frame(*rng.choices(WORDS, k=rng.randrange(5)))
        for _ in range(rng.randrange(1, 5))
    ]
    return b"".join(parts)


def mutated(rng: random.Random) -> bytes:
    """Return some commands in which one to three things are wrong, perhaps."""
    data = bytearray(valid(rng))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(1, 4)]
            case 2:
                data[at:at] = rng.choice(TOKENS)
            case _:
                del data[at:]
    return bytes(data)


def soup(rng: random.Random) -> bytes:
    """Return the protocol's own tokens, in any order."""
    return b"".join(rng.choices(TOKENS, k=rng.randrange(1, 9)))


def noise(rng: random.Random) -> bytes:
    """Return any bytes; the first is such that something may come of it."""
    return rng.choice([b"*", b"$", b"P", b'"', b""]) + rng.randbytes(rng.randrange(24))


def cut(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield the bytes in pieces of random sizes, now and then one at a time, empty pieces among them."""
    sizes = [1] if rng.random() < 0.2 else [0, 1, 2, 3, 7, 20, 100]
    while data:
        size = rng.choice(sizes)
        yield data[:size]
        data = data[size:]


def decoded(pieces: Iterator[bytes] | list[bytes]) -> tuple[list[list[bytes]], str | None, int]:
    """Return what a decoder makes of pieces: commands, the fault in words, the bytes that are pending."""
    decoder = CommandDecoder()
    commands = [command for piece in pieces for command in decoder.feed(piece)]
    assert decoder.is_between == (decoder.fault is None and decoder.pending_bytes == 0)
    return commands, *((None, decoder.pending_bytes) if decoder.fault is None else (str(decoder.fault), 0))


def is_quick(data: bytes) -> bool:
    """Tell whether the decoder takes these bytes within the time; three times it may be held up by something else."""
    for _ in range(3):
        began = process_time()
        CommandDecoder().feed(data)
        if process_time() - began < QUICK_S:
            return True
    return False


@pytest.mark.timeout(120)
@pytest.mark.parametrize("make", [valid, mutated, soup, noise])
def test_any_stream_is_read_as_the_grammar_says_however_it_is_cut(make: Make, rng: random.Random) -> None:
    """Whole and in pieces a stream gives the commands, and the fault, that a plain reading finds, within 10 ms."""
    faults: set[str] = set()
    found = 0
    for _ in range(INPUTS):
        data = make(rng)
        wanted = read(data)
        began = process_time()
        assert decoded([data]) == wanted, data
        assert process_time() - began < QUICK_S or is_quick(data), data
        pieces = list(cut(data, rng))
        assert decoded(pieces) == wanted, pieces
        found += len(wanted[0])
        if wanted[1] is not None:
            faults.add(wanted[1])
    if make is valid:
        assert not faults
        assert found > INPUTS
    else:
        assert len(faults) >= 3, "the wrong streams are to be wrong in many ways"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"*2\r\n$3\r\nGET\r\n$536870912\r\n", b"xy"),
        (b"*2\r\n$3\r\nGET\r\n$536870912\r\n", b"x" * 1000),
        (b"*2\r\n$3\r\nGET\r\n$536870912\r\n", b"x" * 65_536),
        (b"*1048576\r\n", b"$1\r\nx\r\n"),
        (b"*1048576\r\n", b"$2\r\nxy\r\n"),
        (b"*1048576\r\n", b"$100\r\n" + b"x" * 100 + b"\r\n"),
        (b"SET k ", b"x"),
        (b'SET k "', b"\\x41"),
        (b"SET ", b"a "),
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_memory_is_what_was_received(begin: bytes, piece: bytes) -> None:
    """An unfinished command takes what was received of it and 64 KiB, and what Python needs for each whole word."""
    pieces = [begin, *([piece] * min(60_000 // len(piece) + 100, 20_000))]
    received = words = 0
    tracemalloc.start()
    try:
        decoder = CommandDecoder()
        for each in pieces:
            decoder.feed(bytes(memoryview(each)))  # a copy, as every piece that arrives is a new one
            received += len(each)
            words += each.count(b"$")
            taken, _ = tracemalloc.get_traced_memory()
            assert taken <= received * 9 / 8 + SLACK_BYTES + WORD_BYTES * words
    finally:
        tracemalloc.stop()
    assert decoder.fault is None
    assert decoder.pending_bytes == received, "nothing of it was taken for a command"


def test_a_large_word_is_never_there_twice() -> None:
    """A value of 32 MiB that arrives in pieces takes 32 MiB and an eighth, also at the moment when it is whole."""
    piece, count = bytes(64 * 1024), 512
    size = len(piece) * count
    tracemalloc.start()
    try:
        decoder = CommandDecoder()
        decoder.feed(b"*1\r\n$%d\r\n" % size)
        for _ in range(count):
            assert decoder.feed(piece) == []
        ((word,),) = decoder.feed(b"\r\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(word) == size
    assert peak < size * 9 / 8 + 1024 * 1024


def test_announced_sizes_reserve_nothing() -> None:
    """Fifty connections that announce 512 MiB each and a million words, and send neither, take a few kilobytes."""
    tracemalloc.start()
    try:
        decoders = [CommandDecoder() for _ in range(50)]
        for decoder in decoders:
            decoder.feed(b"*1048576\r\n$536870912\r\nx")
        taken, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 50 * 2_000
    assert peak < 50 * 4_000


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda n: b"SET k " + b"x" * (n // 4) + b"\r\n", 1),
        (lambda n: b'SET k "' + b"\\x41" * (n // 40) + b'"\r\n', 1),
        (lambda n: b"PING\r\n" * (n // 6), 1),
        (lambda n: frame("SET", "k", bytes(n)), 1),
        (lambda n: frame("SET", "k", b"\r\n" * (n // 2)), 3),
        (lambda n: frame(*[b"\r\n"] * (n // 8)), 1),
        (lambda n: frame("SET", "a\r\nb", "\r\n") * (n // 30), 7),
        (lambda n: frame("SET", "a\r\nb", "\r\n") * (n // 30), 1 << 20),
        (lambda n: frame("GET", "k") * (n // 20), 1 << 20),
        (lambda n: frame("GET", "k") * (n // 20) + frame("GET", "\r\n"), 1 << 20),
        (lambda n: b"\r\n" * (n // 2), 1 << 20),
        (lambda n: b"*0\r\n" * (n // 4), 5),
    ],
    ids=[
        *("a line by the byte", "escapes by the byte", "many lines by the byte", "a value by the byte"),
        *("a value of line ends", "words of line ends", "line ends in many frames", "the same at once", "many frames"),
        *("many frames and one that is not plain", "blank lines", "empty frames"),
    ],
)
def test_time_grows_with_the_bytes_alone(make: Callable[[int], bytes], size: int) -> None:
    """Eight times the bytes take about eight times as long, whatever they are and however small the pieces."""

    def seconds(raw: bytes) -> float:
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        decoder, began = CommandDecoder(), process_time()
        for piece in pieces:
            decoder.feed(piece)
        assert decoder.is_between
        return process_time() - began

    small = min(seconds(make(30_000)) for _ in range(3))
    assert min(seconds(make(240_000)) for _ in range(2)) < 20 * small + 0.01, "64 times as long would be a square"
