"""Task 3.1: the decoder takes bytes as they arrive, and gives the commands that they complete."""

import random
import tracemalloc

import pytest
from broken_frames import BROKEN
from support.wire import frame

import kvs
from kvs.resp.decoder import CommandDecoder

pytestmark = pytest.mark.task("3.1")

COMMANDS = [
    [b"PING"],
    [b"SET", b"key", b"value"],
    [b"SET", b"", b""],
    [b"SET", b"a\r\nb", b"\r\n"],
    [b"ECHO", b"*1\r\n$4\r\nPING\r\n"],
    [b"ECHO", b"\0\xff\n\r"],
    [b"ECHO", "☃ снеговик".encode()],
    [b"ECHO", b"x" * 1500],
    [b"DEL", *(b"key%d" % number for number in range(40))],
    [b"QUIT"],
]
"""Commands that a careless decoder takes for something else."""
STREAM = b"".join(frame(*words) for words in COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=range(len(COMMANDS)))
def test_command_is_decoded(words: list[bytes]) -> None:
    """A whole command comes out as its words, whatever bytes they are."""
    decoder = CommandDecoder()
    assert decoder.feed(frame(*words)) == [words]
    assert decoder.fault is None


def test_several_commands_come_out_in_order() -> None:
    """Bytes that hold several commands give all of them at once, in order."""
    decoder = CommandDecoder()
    assert decoder.feed(STREAM) == COMMANDS
    assert decoder.feed(STREAM) == COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=range(len(COMMANDS)))
def test_command_is_cut_anywhere(words: list[bytes]) -> None:
    """A command that comes in two pieces comes out with the second, wherever it was cut."""
    data = frame(*words)
    for cut in range(1, len(data)):
        decoder = CommandDecoder()
        assert decoder.feed(data[:cut]) == [], f"cut before byte {cut}: a command came out before it was whole"
        assert decoder.fault is None, f"cut before byte {cut}: what is not whole yet was taken for broken"
        assert decoder.feed(data[cut:]) == [words], f"cut before byte {cut}"


def test_bytes_come_one_by_one() -> None:
    """Bytes that come one by one give the same commands, each as soon as its last byte is there."""
    decoder = CommandDecoder()
    for words in COMMANDS:
        data = frame(*words)
        found = [decoder.feed(data[at : at + 1]) for at in range(len(data))]
        assert found == [[]] * (len(data) - 1) + [[words]]


def test_any_cuts_give_the_same(rng: random.Random) -> None:
    """However a stream is cut into pieces, empty ones among them, the same commands come out."""
    for _ in range(300):
        cuts = sorted(rng.choices(range(len(STREAM)), k=rng.randrange(12)))
        pieces = [STREAM[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
        decoder = CommandDecoder()
        assert [words for piece in pieces for words in decoder.feed(piece)] == COMMANDS, f"cut at {cuts}"


def test_decoders_are_independent() -> None:
    """Two decoders have nothing in common: each connection has one of its own."""
    one, other = CommandDecoder(), CommandDecoder()
    assert one.feed(b"*1\r\n$4\r\nPI") == []
    assert other.feed(b"*1\r\n$4\r\nQUIT\r\n") == [[b"QUIT"]]
    assert one.feed(b"NG\r\n") == [[b"PING"]]


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_frame_is_a_fault(data: bytes) -> None:
    """What is no command is a fault: a ProtocolError that says what is wrong, however the bytes are cut."""
    whole = CommandDecoder()
    assert whole.feed(data) == []
    assert isinstance(whole.fault, kvs.ProtocolError), "nothing is wrong with it, says the decoder"
    assert str(whole.fault)
    pieces = CommandDecoder()
    assert [words for at in range(len(data)) for words in pieces.feed(data[at : at + 1])] == []
    assert isinstance(pieces.fault, kvs.ProtocolError), "byte by byte nothing is wrong with it, says the decoder"


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_commands_before_a_fault_come_out(data: bytes) -> None:
    """Commands before a fault come out, and after it nothing does: where the next one begins cannot be known."""
    decoder = CommandDecoder()
    assert decoder.feed(frame("PING") + frame("GET", "key") + data + frame("QUIT")) == [[b"PING"], [b"GET", b"key"]]
    assert decoder.fault is not None
    assert decoder.feed(frame("PING")) == []
    assert decoder.fault is not None


@pytest.mark.parametrize("size", [0, 1, 9, 10, 99, 100, 1023, 1024, 1025, 65_535, 65_536, 1_000_000])
def test_words_of_any_size(size: int) -> None:
    """A word may have any size, also where the number of its digits changes."""
    words = [b"SET", b"key", b"v" * size]
    data = frame(*words)
    assert CommandDecoder().feed(data + data) == [words, words]
    decoder = CommandDecoder()
    assert decoder.feed(data[:-3]) + decoder.feed(data[-3:]) == [words]


def test_announced_bytes_cost_nothing() -> None:
    """A size that is announced reserves nothing: fifty times 512 MiB, never sent, cost next to no memory."""
    decoders = [CommandDecoder() for _ in range(50)]
    tracemalloc.start()
    try:
        for decoder in decoders:
            assert decoder.feed(b"*1000000\r\n$536870912\r\nonly this much") == []
            assert decoder.fault is None
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 1_000_000


@pytest.mark.extension
@pytest.mark.timeout(10)
def test_pieces_cost_no_more_than_the_whole() -> None:
    """A value of 4 MiB in pieces of 64 bytes takes time by its bytes: what has come is not copied again and again."""
    words = [b"SET", b"key", b"v" * (4 << 20)]
    data, decoder = frame(*words), CommandDecoder()
    assert [found for at in range(0, len(data), 64) for found in decoder.feed(data[at : at + 64])] == [words]


@pytest.mark.extension
@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"PING\r\n", [b"PING"]),
        (b"PING\n", [b"PING"]),
        (b"  SET key   value \r\n", [b"SET", b"key", b"value"]),
        (b'SET key "two words\\r\\n"\r\n', [b"SET", b"key", b"two words\r\n"]),
        (b"SET key 'it''s'\r\n", None),
    ],
)
def test_inline_command(line: bytes, words: list[bytes] | None) -> None:
    """A line of words is a command too, for people at telnet; quotes keep words together."""
    decoder = CommandDecoder()
    assert decoder.feed(line) == ([words] if words else [])
    assert (decoder.fault is None) == (words is not None)
