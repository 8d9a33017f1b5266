"""Addresses: read as people write them, written so that they can be read, and never guessed."""

import socket

import pytest

from kvs.net.address import Address, is_loopback, parse_address

GOOD = {
    "127.0.0.1:4000": Address("127.0.0.1", 4000),
    "localhost:0": Address("localhost", 0),
    "kvs.example.org:65535": Address("kvs.example.org", 65535),
    "[::1]:4000": Address("::1", 4000),
    "[::]:4000": Address("::", 4000),
    "[::ffff:127.0.0.1]:4000": Address("::ffff:127.0.0.1", 4000),
    "[fe80::1%eth0]:4000": Address("fe80::1%eth0", 4000),
    "unix:/run/kvs.sock": Address(path="/run/kvs.sock"),
    "unix:a name:with colons": Address(path="a name:with colons"),
    "tls:127.0.0.1:4000": Address("127.0.0.1", 4000, is_tls=True),
    "tls:[::1]:4000": Address("::1", 4000, is_tls=True),
}
PLAIN = "expected HOST:PORT, such as 127.0.0.1:4000, or unix:PATH"
BAD = {
    "": PLAIN,
    "4000": PLAIN,
    "invalid-addr": PLAIN,
    "::1:4000": "brackets",
    "::1": "brackets",
    "tls:::1:4000": "brackets",
    ":4000": "127.0.0.1:4000 is this machine alone",
    "tls::4000": "127.0.0.1:4000 is this machine alone",
    "[]:4000": PLAIN,
    "[::1]4000": PLAIN,
    "[::1": PLAIN,
    "[localhost]:4000": PLAIN,
    "http://localhost:4000": "expected HOST:PORT",
    "user@localhost:4000": PLAIN,
    " localhost:4000": PLAIN,
    "local host:4000": PLAIN,
    "localhost:": "expected a port from 0 to 65535",
    "localhost:http": "expected a port",
    "localhost:-1": "expected a port",
    "localhost:+1": "expected a port",
    "localhost: 1": "expected a port",
    "localhost:1_0": "expected a port",
    "localhost:٤٠٠٠": "expected a port",
    "localhost:65536": "expected a port",
    "localhost:99999999999999999999": "expected a port",
    "localhost:4000\n": "expected a port",
    "unix:": "expected the path of a socket",
    "unix:a\0b": "expected the path of a socket",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_is_written_the_same(text: str) -> None:
    """An address is read as what it says, and written as it was read."""
    assert parse_address(text) == GOOD[text]
    assert str(GOOD[text]) == text


@pytest.mark.parametrize("text", BAD)
def test_nonsense_is_refused_in_one_line(text: str) -> None:
    """What names no address is refused, by one line that says what was expected and shows what was found."""
    with pytest.raises(ValueError, match=r"^expected [^\n]*found [^\n]*\Z") as caught:
        parse_address(text)
    assert BAD[text] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("[::ffff:127.0.0.1]:1", True),
        ("localhost:1", True), ("unix:/x", True), ("tls:127.0.0.1:1", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("[::ffff:0.0.0.0]:1", False), ("10.0.0.1:1", False),
        ("128.0.0.1:1", False), ("[fe80::1]:1", False), ("[::7f00:1]:1", False), ("[7f00::1]:1", False), ("0:1", False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(text: str, wanted: bool) -> None:
    """Loopback is 127.0.0.0/8, ::1, names that resolve to those, and Unix sockets; 0.0.0.0 and :: are not."""
    try:
        assert is_loopback(parse_address(text)) is wanted
    except socket.gaierror:
        assert ":" in parse_address(text).host, "only a machine without IPv6 cannot resolve such a number"


def test_a_name_that_cannot_be_resolved_is_an_error() -> None:
    """Whether a name without an address is loopback is not guessed: it is an OSError."""
    with pytest.raises(socket.gaierror):
        is_loopback(Address("no-such-host.invalid", 1))
