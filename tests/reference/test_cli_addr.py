"""The command line on a store behind a server: each verb that works there, and which store a line means."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import Scripted, free_address
from support.cli import Cli
from support.served import Serve, Served
from support.target import Target
from test_cli_repl import Terminal

import kvs

pytestmark = pytest.mark.timeout(60)
NOT_FOUND = b"Key not found\n"


@pytest.fixture
def server(serve: Serve) -> Served:
    """Return a running server with an empty store."""
    return serve()


def here(cli: Cli) -> Path:
    """Return the directory that a command works on when it is told of none."""
    return cli.directory / "kvs-data"


def test_the_verbs_work_over_the_wire(cli: Cli, server: Served) -> None:
    """set, get, rm and scan answer and exit with --addr as they do with --dir, and make no directory."""
    at = ["--addr", server.address]
    cli("set", *at, "snowman", "☃").expect(stdout=b"", stderr=b"")
    cli("get", "snowman", *at).expect(stdout="☃\n".encode(), stderr=b"")
    cli("get", *at, "none").expect(stdout=NOT_FOUND)
    cli("get", *at, "none", "--check").expect(stdout=NOT_FOUND, exit_code=1)
    cli("set", *at, "--hex", "00ff", "").expect(stdout=b"")
    cli("set", *at, "k", "-5").expect(stdout=b"")
    cli("scan", *at).expect(stdout="\\x00\\xff\t\nk\t-5\nsnowman\t☃\n".encode())
    cli("scan", *at, "--prefix", "s", "--reverse", "--limit", "1").expect(stdout="snowman\t☃\n".encode())
    cli("rm", *at, "k").expect(stdout=b"", stderr=b"")
    cli("rm", *at, "k").expect(stdout=b"", stderr=NOT_FOUND, exit_code=1)
    assert not here(cli).exists()


def test_figures_and_compaction_over_the_wire(cli: Cli, server: Served) -> None:
    """Stats prints the figures of the engine behind the server, and compact what it gave back, both in JSON too."""
    at = ["--addr", server.address]
    for number in range(30):
        cli("repl", *at, stdin=b"set k%d %b\nset k%d b\n" % (number % 2, b"a" * 1000, number % 2)).expect(stderr=b"")
    found = json.loads(cli("stats", *at, "--json").expect(stderr=b"").stdout)
    assert (found["engine"], found["keys"]) == ("lockfree", 2)
    assert found["dead_bytes"] > 25_000
    assert found["segments"] >= 1
    assert "details" not in found
    assert re.search(rb"^dead bytes +[\d,]+", cli("stats", *at).stdout, re.MULTILINE)
    done = json.loads(cli("compact", *at, "--json").expect(stderr=b"").stdout)
    assert done["dead_bytes_before"] == found["dead_bytes"]
    assert done["dead_bytes_after"] == json.loads(cli("stats", *at, "--json").stdout)["dead_bytes"] == 0


def test_import_and_export_over_the_wire(cli: Cli, server: Served) -> None:
    """What import stores through a server, export writes as it was; in files and through pipes."""
    at = ["--addr", server.address]
    rows = b"".join(b"%05d\tvalue %d\n" % (number, number) for number in range(5_000))
    (cli.directory / "in.tsv").write_bytes(rows)
    cli("import", *at, "in.tsv").expect(stdout=b"imported 5,000 pairs\n", stderr=b"")
    cli("export", *at, "out.tsv").expect(stdout=b"exported 5,000 pairs\n", stderr=b"")
    assert (cli.directory / "out.tsv").read_bytes() == rows
    assert cli("export", *at, "--format", "tsv").expect(stderr=b"exported 5,000 pairs\n").stdout == rows
    acks = cli("import", *at, "in.tsv", "--ack", "--batch", "2000").expect(stderr=b"").stdout
    assert acks == b"2000\n4000\n5000\n"
    refused = cli("import", *at, "in.tsv", "--sync", "always")
    refused.expect_usage()
    assert b"the server decides when writes reach the disk" in refused.stderr


def test_a_script_is_carried_out_over_the_wire(cli: Cli, server: Served) -> None:
    """The repl's commands work over the wire; an unknown one and a wrong one are errors, and the session goes on."""
    script = b"set a 1\nset b 2\nget a\nlen\nscan\nrm a\nrm a\nping\nget\ncompact\nstats\nexit\nget b\n"
    done = cli("repl", "--addr", server.address, stdin=script).expect()
    assert done.stdout.startswith(b"1\n2\na\t1\nb\t2\nengine")
    assert done.stderr == (b"Key not found\nkvs: no command is called 'ping'; help lists them\nkvs: usage: get KEY\n")


@pytest.mark.parametrize(
    ("words", "variables", "meant"),
    [
        ("get k --addr ADDR", {}, "server"),
        ("--addr ADDR get k", {}, "server"),
        ("get k", {"KVS_ADDR": "ADDR"}, "server"),
        ("get k", {"KVS_ADDR": "ADDR", "KVS_DIR": "DIR"}, "server"),
        ("get k --addr ADDR", {"KVS_DIR": "DIR"}, "server"),
        ("--addr ADDR get k", {"KVS_DIR": "DIR"}, "server"),
        ("get k --addr ADDR", {"KVS_ADDR": "127.0.0.1:1"}, "server"),
        ("--addr ADDR get k", {"KVS_ADDR": "127.0.0.1:1"}, "server"),
        ("get k --dir DIR", {"KVS_ADDR": "ADDR"}, "directory"),
        ("--dir DIR get k", {"KVS_ADDR": "ADDR"}, "directory"),
        ("get k --dir DIR", {}, "directory"),
        ("get k", {"KVS_DIR": "DIR", "KVS_ADDR": ""}, "directory"),
        ("get k --dir DIR --addr ADDR", {}, "neither"),
        ("get k --addr ADDR --dir DIR", {}, "neither"),
        ("--dir DIR get k --addr ADDR", {}, "neither"),
        ("--addr ADDR get k --dir DIR", {}, "neither"),
        ("--addr ADDR --dir DIR get k", {}, "neither"),
    ],
)
def test_flags_go_before_variables(cli: Cli, server: Served, words: str, variables: dict[str, str], meant: str) -> None:
    """A flag names the store whatever the variables say; two flags are wrong usage; KVS_ADDR goes before KVS_DIR."""
    with kvs.KvsClient(server.address) as client, kvs.open(cli.directory / "there") as store:
        client[b"k"] = b"server"
        store[b"k"] = b"directory"
    names = {"ADDR": server.address, "DIR": "there"}
    found = cli(
        *(names.get(word, word) for word in words.split()),
        env={name: names.get(value, value) for name, value in variables.items()},
    )
    if meant == "neither":
        found.expect_usage()
        assert b"Give --dir or --addr, not both." in found.stderr
    else:
        found.expect(stdout=meant.encode() + b"\n", stderr=b"")


@pytest.mark.parametrize("address", ["nowhere", ":4000", "127.0.0.1:http", ""])
def test_an_address_that_is_none_is_wrong_usage(cli: Cli, address: str) -> None:
    """An address that makes no sense is wrong usage, said in one sentence, and nothing is made."""
    found = cli("set", "k", "v", "--addr", address)
    found.expect_usage()
    assert b"Invalid value for '--addr': expected " in found.stderr
    assert not here(cli).exists()


@pytest.mark.parametrize("words", ["set k v", "get k", "rm k", "scan", "stats", "compact", "export", "import in.tsv"])
def test_a_server_that_is_not_there_is_one_line(cli: Cli, words: str) -> None:
    """Where nobody listens a command says so in one line and exits with 1."""
    (cli.directory / "in.tsv").write_bytes(b"k\tv\n")
    address = free_address()
    line = f"kvs: cannot reach {address}: Connection refused\n".encode()
    cli(*words.split(), "--addr", address).expect(stdout=b"", stderr=line, exit_code=1)


def test_a_write_in_doubt_is_told(cli: Cli) -> None:
    """When the server goes in the middle of a write, the command says that it is in doubt, and exits with 1."""
    with Scripted(lambda peer: peer.hear() and None) as server:
        found = cli("set", "k", "v", "--addr", server.address).expect(stdout=b"", exit_code=1)
        assert found.stderr.count(b"\n") == 1
        assert b"what was being written may or may not have been applied" in found.stderr
        assert server.heard_so_far() == [[b"SET", b"k", b"v"]]


@pytest.mark.parametrize("words", ["check", "repair there", "inspect", "backup there", "restore there"])
def test_commands_on_files_say_so(cli: Cli, words: str) -> None:
    """A command that works on the files themselves refuses --addr in one line, and does not mind KVS_ADDR."""
    for line in ([*words.split(), "--addr", "127.0.0.1:1"], ["--addr", "127.0.0.1:1", *words.split()]):
        found = cli(*line)
        found.expect_usage()
        assert b"works on the files of a directory: it takes --dir, not --addr." in found.stderr
    assert b"addr" not in cli(words.split(maxsplit=1)[0], "--help").stdout
    cli("set", "k", "v").expect()
    assert cli("check", env={"KVS_ADDR": "127.0.0.1:1"}).exit_code == 0


def test_the_password_comes_from_the_environment(cli: Cli, serve: Serve) -> None:
    """KVS_PASSWORD is given to a server that asks for one; a wrong one is an error that does not repeat it."""
    server = serve(env={"KVS_PASSWORD": "s3cret"})
    at = ["--addr", server.address]
    cli("set", *at, "k", "v", env={"KVS_PASSWORD": "s3cret"}).expect(stdout=b"", stderr=b"")
    found = cli("get", *at, "k").expect(stdout=b"", exit_code=1)
    assert found.stderr.startswith(b"kvs: NOAUTH ")
    found = cli("get", *at, "k", env={"KVS_PASSWORD": "Wrong1"}).expect(stdout=b"", exit_code=1)
    assert found.stderr.startswith(b"kvs: WRONGPASS ")
    assert b"Wrong1" not in found.stderr
    assert "Wrong1" not in server.stderr


def test_nothing_of_the_network_is_loaded_without_it(target: Target, server: Served, tmp_path: Path) -> None:
    """A command on a directory imports neither socket nor the client; one over the wire imports no ssl."""
    program = (
        "import sys; sys.argv = ['kvs', 'get', 'k', *sys.argv[1:]]\n"
        "from kvs.__main__ import main\n"
        "main()\n"
        "print(sorted({'socket', 'ssl', 'kvs.net.client', 'kvs.log.store'} & set(sys.modules)))"
    )
    for words, loaded in [
        (["--dir", str(tmp_path)], "['kvs.log.store']"),
        (["--addr", server.address], "['kvs.net.client', 'socket']"),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            capture_output=True,
            timeout=15,
            env=target.environment(),
            check=True,
        )
        assert done.stdout.decode().splitlines() == ["Key not found", loaded]


@pytest.fixture
def terminal(target: Target, server: Served, tmp_path: Path) -> Iterator[Terminal]:
    """Return a repl over the wire that waits at its first prompt."""
    command = (*target.command, "--addr", server.address)
    opened = Terminal(dataclasses.replace(target, command=command), tmp_path)
    try:
        opened.read_until(prompt(server))
        yield opened
    finally:
        opened.close()


def prompt(server: Served) -> bytes:
    """Return what a repl over the wire asks with."""
    return f"kvs {server.address}> ".encode()


def test_the_prompt_names_the_server(terminal: Terminal, server: Served) -> None:
    """At a terminal the prompt shows the server's address; the tab key completes commands as ever."""
    terminal.type(b"se\t snowman white\n")
    terminal.read_until(prompt(server))
    terminal.type(b"get snowman\n")
    assert b"\nwhite\n" in terminal.read_until(prompt(server))
    assert terminal.end() == 0
    assert b"set snowman white" in terminal.history.read_bytes().replace(b"  ", b" ")


def test_the_session_outlives_the_server(terminal: Terminal, server: Served, target: Target) -> None:
    """While the server is away each line is an error; when it is back the next line works, without a word of ours."""
    terminal.type(b"set k v\n")
    terminal.read_until(prompt(server))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    terminal.type(b"get k\n")
    assert b"kvs: cannot reach" in terminal.read_until(prompt(server))
    again = Served(target.command, target.environment(), server.directory, ["--addr", server.address])
    with again:
        terminal.type(b"get k\n")
        assert b"\nv\n" in terminal.read_until(prompt(server))
        assert terminal.end() == 0
