"""Replies: bytes to Python values, whatever the bytes and however they are cut; and nothing that is no reply."""

import math
import random
import tracemalloc
from collections.abc import Iterator
from time import process_time

import pytest

from kvs.errors import ProtocolError, RemoteError
from kvs.resp.reply import MAX_DEPTH, MAX_LINE_BYTES, MAX_PUSHES, ReplyDecoder
from kvs.resp.value import Reply

GOOD: list[tuple[bytes, Reply]] = [
    (b"+OK\r\n", b"OK"),
    (b"+\r\n", b""),
    (b":0\r\n", 0),
    (b":-9223372036854775808\r\n", -(2**63)),
    (b":9223372036854775807\r\n", 2**63 - 1),
    (b"$5\r\nhello\r\n", b"hello"),
    (b"$0\r\n\r\n", b""),
    (b"$6\r\n\r\n$1\r\n\r\n", b"\r\n$1\r\n"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"_\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n*1\r\n$1\r\na\r\n$-1\r\n", [1, [b"a"], None]),
    (b"*2\r\n*0\r\n*1\r\n*0\r\n", [[], [[]]]),
    (b"#t\r\n", True),
    (b"#f\r\n", False),
    (b",1.25\r\n", 1.25),
    (b",10\r\n", 10.0),
    (b",-1.5E-3\r\n", -0.0015),
    (b",1e+2\r\n", 100.0),
    (b",inf\r\n", math.inf),
    (b",-inf\r\n", -math.inf),
    (b"(3492890328409238509324850943850943825024385\r\n", 3492890328409238509324850943850943825024385),
    (b"(-12345678901234567890\r\n", -12345678901234567890),
    (b"=15\r\ntxt:Some string\r\n", b"Some string"),
    (b"=4\r\nmkd:\r\n", b""),
    (b"%2\r\n+first\r\n:1\r\n$6\r\nsecond\r\n*1\r\n:2\r\n", {b"first": 1, b"second": [2]}),
    (b"%0\r\n", {}),
    (b"%1\r\n*2\r\n:1\r\n*0\r\n+v\r\n", {(1, ()): b"v"}),
    (b"~3\r\n+a\r\n:2\r\n+a\r\n", {b"a", 2}),
    (b"~2\r\n%1\r\n+a\r\n~1\r\n:1\r\n~0\r\n", {frozenset({(b"a", frozenset({1}))}), frozenset()}),
    (b"|1\r\n+ttl\r\n:3600\r\n:3\r\n", 3),
    (b"*2\r\n|2\r\n+a\r\n*1\r\n:9\r\n+b\r\n|0\r\n:8\r\n:1\r\n|0\r\n:2\r\n", [1, 2]),
]
BAD: list[tuple[bytes, str]] = [
    (b"HTTP/1.1 400\r\n", "expected the mark of a reply, found b'H'"),
    (b"\x16\x03\x01", "expected the mark of a reply"),
    (b"\r\n", "expected the mark of a reply"),
    (b"@1\r\n", "expected the mark of a reply"),
    (b"+OK\n", r"expected CRLF at the end of a line, and there alone, found b'+OK\n'"),
    (b"+a\rb\r\n", "expected CRLF at the end of a line, and there alone"),
    (b"+a\r\r\n", "expected CRLF at the end of a line, and there alone"),
    (b":\r\n", "expected an integer of 64 bits, found b''"),
    (b":+1\r\n", "expected an integer of 64 bits, found b'+1'"),
    (b": 1\r\n", "expected an integer"),
    (b":1_0\r\n", "expected an integer"),
    (b":01\r\n", "expected an integer"),
    (":\u0661\r\n".encode(), "expected an integer"),
    (b":9223372036854775808\r\n", "expected an integer"),
    (b":" + b"9" * 60_000 + b"\r\n", "expected an integer"),
    (b"$abc\r\n", "expected a size from 0 to 536,870,912, found b'abc'"),
    (b"$-2\r\n", "expected a size"),
    (b"$+1\r\na\r\n", "expected a size"),
    (b"$?\r\n", "expected a size"),
    (b"$536870913\r\n", "expected a size"),
    (b"$1\r\nab\r\n", r"expected CRLF behind a string, found b'b\r'"),
    (b"$1\r\na\n\r", "expected CRLF behind a string"),
    (b"!-1\r\n", "expected a size"),
    (b"=-1\r\n", "expected a size"),
    (b"=3\r\ntxt\r\n", "expected three letters and a colon before a text, found b'txt'"),
    (b"=5\r\ntextx\r\n", "expected three letters and a colon"),
    (b"*-2\r\n", "expected a size from 0 to 2,147,483,647"),
    (b"*3000000000\r\n", "expected a size"),
    (b"%-1\r\n", "expected a size"),
    (b"~-1\r\n", "expected a size"),
    (b"#\r\n", "expected t or f, found b''"),
    (b"#true\r\n", "expected t or f"),
    (b"_x\r\n", "expected nothing behind the mark of a null"),
    (b",\r\n", "expected a double, found b''"),
    (b",.5\r\n", "expected a double"),
    (b",1.\r\n", "expected a double"),
    (b",1_0.0\r\n", "expected a double"),
    (b", 1\r\n", "expected a double"),
    (b",infinity\r\n", "expected a double"),
    (b"(\r\n", "expected a big number"),
    (b"(1.5\r\n", "expected a big number"),
    (b"(1_0\r\n", "expected a big number"),
    (b"(" + b"1" * 4001 + b"\r\n", "expected a big number of at most 4,000 digits"),
    (b">0\r\n", "expected a push between replies, with its kind"),
    (b"*1\r\n>1\r\n+x\r\n", "expected a push between replies"),
    (b"*1\r\n" * (MAX_DEPTH + 1), "expected replies within replies at most 32 deep"),
    (b"|1\r\n" * (MAX_DEPTH + 1), "expected replies within replies at most 32 deep"),
    (b"+" + b"x" * MAX_LINE_BYTES, "expected a line of at most 65,536 bytes"),
    (b"*1\r\nQ", "expected the mark of a reply"),
]


def cut(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield the bytes in pieces of random sizes, empty ones among them."""
    while data:
        size = rng.choice([0, 1, 1, 2, 3, 7, 50])
        yield data[:size]
        data = data[size:]


def decoded(pieces: list[bytes]) -> tuple[list[Reply], list[object], str | None]:
    """Return what a decoder makes of some pieces: replies, pushes, and the fault in words."""
    decoder = ReplyDecoder()
    replies = [reply for piece in pieces for reply in decoder.feed(piece)]
    return replies, list(decoder.pushes), None if decoder.fault is None else str(decoder.fault)


@pytest.mark.parametrize(("raw", "wanted"), GOOD, ids=[repr(raw) for raw, _ in GOOD])
def test_a_reply_is_its_value_however_it_is_cut(raw: bytes, wanted: Reply) -> None:
    """A reply becomes its value: whole, byte by byte, and cut in two anywhere; nothing comes out before its end."""
    cuts = [[raw], [raw[at : at + 1] for at in range(len(raw))], *([raw[:at], raw[at:]] for at in range(len(raw)))]
    for pieces in cuts:
        decoder = ReplyDecoder()
        assert [decoder.feed(piece) for piece in pieces[:-1]] == [[]] * (len(pieces) - 1)
        found = decoder.feed(pieces[-1])
        assert found == [wanted]
        assert type(found[0]) is type(wanted), "1 is not True, and 10 not 10.0"
        assert decoder.fault is None
        assert decoder.is_between


@pytest.mark.parametrize("raw", [b",nan\r\n", b",-nan\r\n", b",NAN\r\n", b",nan(0x8000)\r\n"])
def test_nan_is_nan_as_any_c_library_writes_it(raw: bytes) -> None:
    """What is not a number is nan, also where an old server lets its C library write it."""
    (found,) = ReplyDecoder().feed(raw)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize("raw", [b"-WRONGTYPE not \xff so\r\n", b"!20\r\nWRONGTYPE not \xff so\r\n"])
def test_an_error_is_a_value_of_its_own_class(raw: bytes) -> None:
    """An error reply is a RemoteError with code and message, alone and within an array, and raises nothing."""
    raw = raw.replace(b"!20", b"!18")
    alone, within = ReplyDecoder().feed(raw + b"*2\r\n:1\r\n" + raw)
    assert isinstance(within, list)
    for found in (alone, within[1]):
        assert isinstance(found, RemoteError)
        assert (str(found), found.code) == (r"WRONGTYPE not \xff so", "WRONGTYPE")


@pytest.mark.parametrize(("message", "code"), [("ERR a", "ERR"), ("no code", "ERR"), ("", "ERR"), ("BUSY", "BUSY")])
def test_an_error_without_a_code_has_the_general_one(message: str, code: str) -> None:
    """The code is the message's first word where it is in capitals; else it is ERR."""
    assert RemoteError(message).code == code


@pytest.mark.parametrize(("raw", "complaint"), BAD, ids=[repr(raw[:20]) for raw, _ in BAD])
def test_what_is_no_reply_is_a_fault_that_says_so(raw: bytes, complaint: str) -> None:
    """A broken stream gives the replies before the break, one error with what was expected and found, then nothing."""
    whole = decoded([b"+before\r\n" + raw + b"+after\r\n"])
    assert whole[0] == [b"before"]
    assert whole[2] is not None
    assert complaint in whole[2]
    assert len(whole[2]) < 300
    assert decoded([bytes([byte]) for byte in b"+before\r\n" + raw + b"+after\r\n"]) == whole
    decoder = ReplyDecoder()
    decoder.feed(raw)
    assert isinstance(decoder.fault, ProtocolError), "the fault is seen at once, without waiting for more"
    assert decoder.feed(b"+OK\r\n") == []


def test_deep_is_allowed_up_to_the_limit() -> None:
    """Arrays within arrays are read down to the limit."""
    (found,) = ReplyDecoder().feed(b"*1\r\n" * MAX_DEPTH + b":7\r\n")
    for _ in range(MAX_DEPTH):
        assert isinstance(found, list)
        (found,) = found
    assert found == 7


def test_pushes_are_kept_apart() -> None:
    """What a server says unasked is nobody's reply; of what nobody takes the newest is kept."""
    decoder = ReplyDecoder()
    push = b">2\r\n+message\r\n:%d\r\n"
    assert decoder.feed(push % 1 + b":7\r\n" + push % 2 + b":8\r\n") == [7, 8]
    assert list(decoder.pushes) == [[b"message", 1], [b"message", 2]]
    decoder.feed(b"".join(push % number for number in range(2 * MAX_PUSHES)))
    assert len(decoder.pushes) == MAX_PUSHES
    assert decoder.pushes[-1] == [b"message", 2 * MAX_PUSHES - 1]


def test_any_cutting_gives_the_same(rng: random.Random) -> None:
    """Streams of good replies, pushes and now and then junk come out the same however they are cut."""
    good = [raw for raw, _ in GOOD] + [b">2\r\n+a\r\n:1\r\n", b"$300\r\n" + bytes(300) + b"\r\n"]
    bad = [raw for raw, _ in BAD if len(raw) < 100]
    for _ in range(1_500):
        stream = rng.choices(good, k=rng.randrange(1, 6)) + (rng.choices(bad) if rng.random() < 0.3 else [])
        data = b"".join(stream)
        if rng.random() < 0.3:
            flipped = bytearray(data)
            flipped[rng.randrange(len(data))] = rng.randrange(256)
            data = bytes(flipped)
        whole = decoded([data])
        assert repr(decoded(list(cut(data, rng)))) == repr(whole), data


def test_time_grows_with_the_bytes_alone() -> None:
    """A large value, a long line and a wide array that come byte by byte take time by their size, not its square."""

    def seconds(raw: bytes, size: int) -> float:
        decoder, began = ReplyDecoder(), process_time()
        for at in range(0, len(raw), size):
            decoder.feed(raw[at : at + size])
        assert decoder.is_between
        return process_time() - began

    for make in (
        lambda n: b"$%d\r\n%b\r\n" % (n, bytes(n)),
        lambda n: b"*%d\r\n%b" % (n // 4, b":1\r\n" * (n // 4)),
        lambda n: (b"+" + b"x" * (n // 10) + b"\r\n") * 10,
    ):
        small = min(seconds(make(60_000), 1) for _ in range(3))
        assert seconds(make(480_000), 1) < 40 * small, "8 times the bytes are to take 8 times as long; 64 is a square"


def test_an_announced_size_reserves_nothing() -> None:
    """Sizes that are announced and never sent take no memory; what was received takes about its size."""
    tracemalloc.start()
    try:
        decoders = [ReplyDecoder() for _ in range(50)]
        for decoder in decoders:
            decoder.feed(b"*2147483647\r\n%2147483647\r\n$536870912\r\n" + bytes(1_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 * 8_000
