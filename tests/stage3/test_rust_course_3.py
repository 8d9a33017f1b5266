"""The eleven tests of the command line of project 3 of the Rust course, under their names there.

`kvs-client` is `kvs` there, and `kvs-server` is `kvs serve`; its engines `kvs` and `sled` are `log` and `sqlite` here.
"""

import re

import pytest
from support.cli import Cli
from support.served import Serve
from support.target import Target

pytestmark = pytest.mark.blackbox

client = pytest.mark.task("3.3")
server = pytest.mark.task("3.7")


@client
def test_client_cli_no_args(cli: Cli) -> None:
    """`kvs` without words shows help and exits with 2."""
    assert cli().expect(exit_code=2).stdout.strip()


@client
def test_client_cli_invalid_get(cli: Cli) -> None:
    """`kvs get` takes one word, an address that is one, and no other flag."""
    cli("get").expect_usage()
    cli("get", "extra", "field").expect_usage()
    cli("get", "key", "--addr", "invalid-addr").expect_usage()
    cli("get", "key", "--unknown-flag").expect_usage()


@client
def test_client_cli_invalid_set(cli: Cli) -> None:
    """`kvs set` takes two words, an address that is one, and no other flag."""
    cli("set").expect_usage()
    cli("set", "missing_field").expect_usage()
    cli("set", "key", "value", "extra_field").expect_usage()
    cli("set", "key", "value", "--addr", "invalid-addr").expect_usage()
    cli("set", "key", "value", "--unknown-flag").expect_usage()  # as the value it would be one: values may look so


@client
def test_client_cli_invalid_rm(cli: Cli) -> None:
    """`kvs rm` takes one word, an address that is one, and no other flag."""
    cli("rm").expect_usage()
    cli("rm", "extra", "field").expect_usage()
    cli("rm", "key", "--addr", "invalid-addr").expect_usage()
    cli("rm", "key", "--unknown-flag").expect_usage()


@client
def test_client_cli_invalid_subcommand(cli: Cli) -> None:
    """A command that does not exist is wrong usage."""
    cli("unknown").expect_usage()


@client
def test_client_cli_version(cli: Cli, target: Target) -> None:
    """`kvs -V` prints the version."""
    check_version(cli("-V").expect().stdout.decode(), target)


@server
def test_server_cli_version(cli: Cli, target: Target) -> None:
    """`kvs serve -V` prints the version, and serves nothing."""
    check_version(cli("serve", "-V").expect().stdout.decode(), target)


def check_version(text: str, target: Target) -> None:
    """See that the version is in the text."""
    assert any(character.isdigit() for character in text), "a version has digits in it"
    assert not target.is_package or target.version in text


@server
def test_cli_log_configuration(serve: Serve, target: Target) -> None:
    """The server says on stderr which version it is, which engine it serves, and where it listens."""
    served = serve("--engine", "log")
    said = served.stderr.replace(served.address, "").replace(str(served.directory), "")
    check_version(said, target)
    assert re.search(r"\blog\b", said), "which engine it serves"
    assert f"Listening on {served.address}" in served.stderr
    assert served.port != 0


@server
@pytest.mark.parametrize(("first", "second"), [("log", "sqlite"), ("sqlite", "log")])
def test_cli_wrong_engine(serve: Serve, cli: Cli, first: str, second: str) -> None:
    """A directory that one engine has made is refused by the other, with exit code 1 and both names."""
    served = serve("--engine", first)
    with served.connect() as line:
        line.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        assert line.recv(5) == b"+OK\r\n"
    served.kill()
    words = ["serve", "--engine", second, "--addr", "127.0.0.1:0", "--dir", str(served.directory)]
    outcome = cli(*words).expect(stdout=b"", exit_code=1)
    assert first.encode() in outcome.stderr
    assert second.encode() in outcome.stderr


@server
def test_cli_access_server_kvs_engine(serve: Serve, cli: Cli) -> None:
    """Clients set, get and remove on a server of engine `log`, and find it all after a restart."""
    access_server(serve, cli, "log")


@server
def test_cli_access_server_sled_engine(serve: Serve, cli: Cli) -> None:
    """Clients set, get and remove on a server of engine `sqlite`, and find it all after a restart."""
    access_server(serve, cli, "sqlite")


def access_server(serve: Serve, cli: Cli, engine: str) -> None:
    """Go through what a client can do, kill the server, and look at what the next one has."""
    served = serve("--engine", engine)
    address = ("--addr", served.address)
    cli("set", "key1", "value1", *address).expect(stdout=b"")
    cli("get", "key1", *address).expect(stdout=b"value1\n")
    cli("set", "key1", "value2", *address).expect(stdout=b"")
    cli("get", "key1", *address).expect(stdout=b"value2\n")
    assert b"Key not found" in cli("get", "key2", *address).expect().stdout
    assert b"Key not found" in cli("rm", "key2", *address).expect(exit_code=1).stderr
    cli("set", "key2", "value3", *address).expect(stdout=b"")
    cli("rm", "key1", *address).expect(stdout=b"")
    served.kill()
    served = serve("--engine", engine)
    address = ("--addr", served.address)
    assert b"value3" in cli("get", "key2", *address).expect().stdout
    assert b"Key not found" in cli("get", "key1", *address).expect().stdout
