"""Task 3.3: the command line over the wire, and what `kvs serve` says to words that make no sense."""

import pytest
from support.cli import Cli
from support.contract import Case, cases
from support.talk import Clients, stranger


@pytest.mark.blackbox
@pytest.mark.parametrize("case", cases(stage=3))
def test_contract(cli: Cli, case: Case) -> None:
    """Each case of stages/contract.toml holds: its `check` says what is true when it does."""
    case.run(cli)


@pytest.mark.task("3.3")
@pytest.mark.blackbox
def test_cli_and_wire_share_the_store(cli: Cli, connect: Clients) -> None:
    """What the command line sets, a client gets, and the other way round; nothing is made on this side's disk."""
    client = connect()
    cli("set", "снеговик", "☃  white", "--addr", connect.address).expect(stdout=b"", stderr=b"")
    assert client.call("GET", "снеговик") == "☃  white".encode()
    client.call("SET", "wire", "-5")
    cli("get", "--addr", connect.address, "wire").expect(stdout=b"-5\n", stderr=b"")
    cli("rm", "wire", "--addr", connect.address).expect(stdout=b"", stderr=b"")
    assert client.call("EXISTS", "wire") == 0
    assert list(cli.directory.iterdir()) == []


@pytest.mark.task("3.3")
@pytest.mark.blackbox
def test_cli_absent_key_over_the_wire(cli: Cli, connect: Clients) -> None:
    """An absent key is told over the wire as it is on a directory: get on stdout with 0, rm on stderr with 1."""
    cli("get", "absent", "--addr", connect.address).expect(stdout=b"Key not found\n", stderr=b"")
    cli("get", "--check", "absent", "--addr", connect.address).expect(stdout=b"Key not found\n", exit_code=1)
    outcome = cli("rm", "absent", "--addr", connect.address).expect(stdout=b"", exit_code=1)
    assert b"Key not found" in outcome.stderr


@pytest.mark.task("3.3")
@pytest.mark.blackbox
def test_cli_address_from_the_environment(cli: Cli, connect: Clients) -> None:
    """KVS_ADDR names the server, too."""
    cli("set", "environment", "", env={"KVS_ADDR": connect.address}).expect(stdout=b"", stderr=b"")
    assert connect().call("GET", "environment") == b""


@pytest.mark.task("3.3")
@pytest.mark.blackbox
def test_cli_other_server(cli: Cli) -> None:
    """A server that speaks something else is told in one line on stderr, with exit code 1."""
    with stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        outcome = cli("get", "key", "--addr", address).expect(stdout=b"", exit_code=1)
    assert len(outcome.stderr.splitlines()) == 1


@pytest.mark.task("3.3")
@pytest.mark.blackbox
@pytest.mark.extension
def test_cli_repl_over_the_wire(cli: Cli, connect: Clients) -> None:
    """A repl works on a server's store as it does on a directory."""
    script = b"set repl 'two words'\nget repl\nrm repl\nget repl\n"
    cli("repl", "--addr", connect.address, stdin=script).expect(stdout=b"two words\nKey not found\n", stderr=b"")
