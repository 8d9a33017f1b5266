"""Where clients arrive: ports, and names in the file system."""

import os
import socket
import stat
from pathlib import Path

import pytest

from kvs.errors import StorageError
from kvs.net.address import parse_address
from kvs.net.listener import Listener


def connect(path: Path) -> socket.socket:
    """Return a socket that is connected to this name."""
    talk = socket.socket(socket.AF_UNIX)
    talk.settimeout(5)
    talk.connect(str(path))
    return talk


def test_port_0_is_any_that_is_free() -> None:
    """With port 0 the listener's address tells the port that it got, and nobody can take it a second time."""
    first = Listener(parse_address("127.0.0.1:0"))
    try:
        assert first.address.port > 0
        with pytest.raises(
            StorageError, match=f"cannot listen on 127.0.0.1:{first.address.port}: Address already in use"
        ):
            Listener(first.address)
        assert first.accept() is None, "nobody waits"
        with socket.create_connection(("127.0.0.1", first.address.port), 5) as talk:
            arrived = first.accept()
            assert arrived is not None
            sock, peer, host = arrived
            with sock:
                assert peer == f"127.0.0.1:{talk.getsockname()[1]}"
                assert host == "127.0.0.1"
                assert not sock.getblocking()
                assert first.has_room(sock)
    finally:
        first.close()


def test_a_closed_listener_says_so() -> None:
    """Accepting after the close is an error and no endless loop."""
    listener = Listener(parse_address("127.0.0.1:0"))
    listener.close()
    listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        listener.accept()


def test_a_socket_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    """A Unix socket can be used by its owner only, and its name goes with the listener."""
    path = tmp_path / "s"
    listener = Listener(parse_address(f"unix:{path}"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with connect(path):
        arrived = listener.accept()
        assert arrived is not None
        arrived[0].close()
    listener.close()
    assert not path.exists()


def test_a_name_that_another_took_over_stays(tmp_path: Path) -> None:
    """A listener whose name was taken away, and taken by another, leaves that one alone when it ends."""
    path = tmp_path / "s"
    first = Listener(parse_address(f"unix:{path}"))
    path.unlink()
    second = Listener(parse_address(f"unix:{path}"))
    first.close()
    with connect(path):
        pass
    second.close()
    assert not path.exists()


def test_a_dead_server_s_socket_is_replaced_and_a_live_one_s_is_not(tmp_path: Path) -> None:
    """A socket file that nobody listens at is replaced; one at which somebody does is refused."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    live = Listener(parse_address(f"unix:{path}"))
    with pytest.raises(StorageError, match="Address already in use"):
        Listener(parse_address(f"unix:{path}"))
    with connect(path):
        pass
    live.close()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_not_touched(tmp_path: Path, kind: str) -> None:
    """A file, a directory or a link of that name is not ours: it is kept, and the listener refuses to start."""
    path = tmp_path / "s"
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("precious")
    with pytest.raises(StorageError, match="cannot listen on"):
        Listener(parse_address(f"unix:{path}"))
    assert os.path.lexists(path)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "192.0.2.1:4000", "unix:/nowhere/at/all/s"])
def test_an_address_that_cannot_be_had_is_named(address: str) -> None:
    """The error names the address and says why."""
    if address.endswith(":1") and os.geteuid() == 0:
        pytest.skip("root may listen at every port")
    with pytest.raises(StorageError, match=f"cannot listen on {address}"):
        Listener(parse_address(address))
