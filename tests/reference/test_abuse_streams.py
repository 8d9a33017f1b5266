"""What is no protocol: each row is sent to a real server, and the answer is the one that stands beside it."""

import contextlib
import ssl
from collections.abc import Iterator

import pytest
from support.besieged import DESIGNS, Besieged, besieged, until
from support.wire import frame

COUNT = b"-ERR Protocol error: invalid multibulk length\r\n"
SIZE = b"-ERR Protocol error: invalid bulk length\r\n"
END = b"-ERR Protocol error: expected CRLF after a bulk string\r\n"
TEXT = b"-ERR Protocol error: expected '*' or a line of text\r\n"
QUOTES = b"-ERR Protocol error: unbalanced quotes in request\r\n"
HTTP = b"-ERR this is no HTTP server\r\n"


def tls_hello() -> bytes:
    """Return the first bytes of a client that speaks TLS."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="kvs.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


CLOSED = {
    "3000000000 words": (b"*3000000000\r\n", COUNT),
    "letters for a count": (b"*abc\r\n", COUNT),
    "a blank before a count": (b"* 1\r\n", COUNT),
    "a plus before a count": (b"*+1\r\n", COUNT),
    "20 digits of words": (b"*99999999999999999999\r\n", COUNT),
    "a count without end": (b"*" + b"1" * 100, COUNT),
    "a word of -10 bytes": (b"*1\r\n$-10\r\n", SIZE),
    "null for a word": (b"*1\r\n$-1\r\n", SIZE),
    "letters for a size": (b"*1\r\n$abc\r\n", SIZE),
    "20 digits of bytes": (b"*1\r\n$99999999999999999999\r\n", SIZE),
    "more than 512 MiB": (b"*1\r\n$536870913\r\n", SIZE),
    "no word where one has to be": (b"*1\r\n:4\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
    "no line end behind a word": (b"*1\r\n$4\r\nPINGxx", END),
    "a word that is longer than said": (b"*1\r\n$4\r\nPINGPING\r\n", END),
    "line feeds alone, in a frame": (b"*1\n$4\nPING\n", COUNT),
    "line feeds alone, after the count": (b"*1\r\n$4\nPING\n", SIZE),
    "a TLS hello": (tls_hello(), TEXT),
    "binary junk": (b"\x00\x01\x02\xff\xfe" * 20, TEXT),
    "a terminal's escapes": (b"PI\x1b[ANG\r\n", TEXT),
    "a reply": (b"+OK\r\n", TEXT),
    "a line of more than 64 KiB": (b"a" * (1 << 16) + b"\r\n", b"-ERR Protocol error: too big inline request\r\n"),
    "a quote that is not closed": (b'SET k "v\r\n', QUOTES),
    "a quote in the middle of a word": (b'SET k "a"b\r\n', QUOTES),
    "POST": (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nSET k evil\r\n", HTTP),
    "a browser's GET": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k evil\r\n",
        b"-ERR wrong number of arguments for 'get' command\r\n" + HTTP,
    ),
}

ANSWERED = {
    "no words": (b"*0\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    "null for a command": (b"*-1\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    "blank lines": (b"\r\n\n   \r\nPING\r\n", b"+PONG\r\n"),
    "an empty name": (b"*1\r\n$0\r\n\r\n", b"-ERR unknown command '', with args beginning with: \r\n"),
    "a name of junk": (
        b"*2\r\n$4\r\n\xff\r\n\x00\r\n$2\r\n\r\n\r\n",
        b"-ERR unknown command '\\xff \x00', with args beginning with: ' ' \r\n",
    ),
    "a frame in a word": (b"*2\r\n$4\r\nECHO\r\n$6\r\n*1\r\n$4\r\n", b"$6\r\n*1\r\n$4\r\n"),
}


@pytest.fixture(scope="module", params=DESIGNS)
def server(request: pytest.FixtureRequest) -> Iterator[Besieged]:
    """Serve by each of the designs."""
    with besieged(request.param) as server:
        server.engine.set(b"k", b"v")
        yield server


@pytest.mark.parametrize(("raw", "answer"), CLOSED.values(), ids=CLOSED)
@pytest.mark.parametrize("by", ["at once", "byte by byte"])
def test_a_broken_stream_is_told_so_and_closed(server: Besieged, raw: bytes, answer: bytes, by: str) -> None:
    """What came before is answered, the error says what is wrong, the connection is closed at once; others go on."""
    broken = server.counts.broken
    with server.connect() as other, server.connect() as wire:
        wire.send(frame("GET", "k"))
        single = 0 if by == "at once" else min(len(raw), 200)
        with contextlib.suppress(ConnectionError):  # it has heard enough
            for at in range(single):
                wire.send(raw[at : at + 1])
            wire.send(raw[single:])
        assert wire.rest() == b"$1\r\nv\r\n" + answer
        assert other.call("GET", "k") == b"v", "nothing was done that came after the break"
    until(lambda: server.counts.broken == broken + 1, "the server counts it")


@pytest.mark.parametrize(("raw", "answer"), ANSWERED.values(), ids=ANSWERED)
def test_what_is_odd_and_allowed_is_answered(server: Besieged, raw: bytes, answer: bytes) -> None:
    """Commands of no words are passed over, names of any bytes are unknown commands, and the connection goes on."""
    with server.connect() as wire:
        wire.send(raw)
        assert wire.exactly(len(answer)) == answer
        assert wire.call("GET", "k") == b"v"


def test_http_is_logged(server: Besieged, caplog: pytest.LogCaptureFixture) -> None:
    """A browser that was led here is in the log with its address, so that somebody can ask why."""
    with server.connect() as wire:
        host, port = wire.socket.getsockname()
        wire.send(b"POST / HTTP/1.1\r\n")
        wire.rest()
    until(lambda: f"{host}:{port} speaks HTTP; closed" in caplog.text, "the log names the client")


def test_what_broke_is_logged_without_a_value(server: Besieged, caplog: pytest.LogCaptureFixture) -> None:
    """The log says who broke the protocol and how, and repeats nothing of what was sent."""
    with server.connect() as wire:
        host, port = wire.socket.getsockname()
        wire.send(b'SET k "secret\r\n')
        wire.rest()
    until(lambda: f"{host}:{port}: Protocol error: unbalanced quotes in request; closed" in caplog.text, "it is logged")
    assert "secret" not in caplog.text


def test_commands_behind_a_break_are_not_carried_out(server: Besieged) -> None:
    """A command that is hidden behind junk, in the same bytes, is not carried out."""
    with server.connect() as wire:
        wire.send(b"*1\r\n$3\r\nfoobar\r\n" + frame("SET", "k", "evil"))
        assert wire.rest() == END
    assert server.engine.get(b"k") == b"v"
