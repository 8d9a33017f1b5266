"""redis-cli, unmodified: one command, a pipe of many, a script, a person at a terminal, and its tools."""

import re
from pathlib import Path

import pytest
from support.clients import program, run
from support.served import Served
from support.terminal import Terminal
from support.wire import Wire, frame

EACH_DESIGN = pytest.mark.parametrize("server", ["loop", "ready"], indirect=True)


@pytest.fixture
def redis_cli() -> str:
    """Return where redis-cli lies."""
    return program("redis-cli")


class Cli:
    """redis-cli, pointed at a server.

    Args:
        path: where it lies.
        served: the server.
    """

    def __init__(self, path: str, served: Served) -> None:
        self.words = [path, "-h", served.host, "-p", str(served.port)]

    def __call__(self, *words: str, stdin: bytes = b"", code: int = 0) -> bytes:
        """Run it, see that it ends with this code, and return what it printed; errors it prints on stderr as well."""
        done = run(*self.words, *words, stdin=stdin)
        assert done.returncode == code, done
        return done.stdout + done.stderr


@pytest.fixture
def cli(redis_cli: str, server: Served) -> Cli:
    """Return redis-cli for a server with an empty store."""
    return Cli(redis_cli, server)


# One command.


@EACH_DESIGN
def test_one_command_at_a_time(cli: Cli) -> None:
    """Each run of redis-cli carries out one command, and prints its answer for programs."""
    assert cli("PING") == b"PONG\n"
    assert cli("SET", "greeting", "hello world") == b"OK\n"
    assert cli("GET", "greeting") == b"hello world\n"
    assert cli("GET", "nothing") == b"\n"
    assert cli("MSET", "a", "1", "b", "2") == b"OK\n"
    assert cli("MGET", "a", "b", "c") == b"1\n2\n\n"
    assert cli("EXISTS", "a", "a", "c") == b"2\n"
    assert cli("DEL", "a", "c") == b"1\n"
    assert cli("DBSIZE") == b"2\n"


def test_answers_for_people(cli: Cli) -> None:
    """Told to, redis-cli prints each answer with its type."""
    cli("MSET", "a", "1", "text", 'say "hi"')
    assert cli("--no-raw", "GET", "text") == b'"say \\"hi\\""\n'
    assert cli("--no-raw", "GET", "nothing") == b"(nil)\n"
    assert cli("--no-raw", "INCR", "a") == b"(integer) 2\n"
    assert cli("--no-raw", "MGET", "a", "nothing") == b'1) "2"\n2) (nil)\n'
    assert cli("--csv", "MGET", "a", "nothing") == b'"2",NULL\n'
    assert cli("--json", "MGET", "a", "nothing") == b'["2",null]\n'


def test_an_error_is_an_exit_code(cli: Cli) -> None:
    """With -e redis-cli exits 1 when the answer is an error, and says which."""
    assert b"ERR unknown command 'LPUSH', with args beginning with: 'list' '1'" in cli(
        "-e", "LPUSH", "list", "1", code=1
    )
    assert b"ERR wrong number of arguments for 'get' command" in cli("-e", "GET", code=1)
    assert b"ERR DB index is out of range" in cli("-n", "1", "PING")
    assert cli("-n", "0", "PING") == b"PONG\n"


def test_any_bytes_come_back(cli: Cli, server: Served) -> None:
    """A value that redis-cli reads from its stdin is stored byte by byte, and printed so."""
    value = bytes(range(256)) * 5_000  # 1.2 MiB
    assert cli("-x", "SET", "bytes", stdin=value) == b"OK\n"
    assert cli("GET", "bytes") == value + b"\n"
    assert cli("--quoted-input", "SET", r'"a\x00\r\nb"', "zero") == b"OK\n"
    with Wire(server.connect()) as wire:
        assert wire.call("GET", b"a\0\r\nb") == b"zero"


def test_protocol_3(cli: Cli) -> None:
    """With -3 the greeting and the settings come as maps, and a missing value as the null of that protocol."""
    greeting = cli("-3", "--no-raw", "HELLO")
    assert b'1# "server" => "redis"' in greeting
    assert b'3# "proto" => (integer) 3' in greeting
    assert cli("-3", "--json", "CONFIG", "GET", "databases") == b'{"databases":"1"}\n'
    assert cli("-3", "--no-raw", "GET", "nothing") == b"(nil)\n"
    assert cli("-3", "--json", "MGET", "nothing") == b"[null]\n"
    assert b"# Keyspace\r\nengine:lockfree\r\nkeys:0\r\n" in cli("-3", "INFO", "keyspace")


def test_one_command_again_and_again(cli: Cli) -> None:
    """With -r a command is repeated on one connection."""
    assert cli("-r", "100", "INCR", "n") == b"".join(b"%d\n" % number for number in range(1, 101))


# Many commands.


def test_a_script(cli: Cli) -> None:
    """Lines on stdin are commands: answered in order, transactions and errors among them."""
    script = b"SET a 1\nGET a\nNONSENSE\nMULTI\nINCR a\nSET b 'x y'\nEXEC\nWATCH a\nMULTI\nDISCARD\nGET b\n"
    lines = [line for line in cli(stdin=script).decode().splitlines() if line]
    assert lines[:2] == ["OK", "1"]
    assert lines[2].startswith("ERR unknown command 'NONSENSE'")
    assert lines[3:] == ["OK", "QUEUED", "QUEUED", "2", "OK", "OK", "OK", "OK", "x y"]


@EACH_DESIGN
def test_a_pipe_of_ten_thousand(cli: Cli, server: Served) -> None:
    """--pipe sends thousands of commands at one go, and counts an answer for each: every key is there after."""
    commands = [frame("SET", f"key:{number}", b"\r\n%d\0" % number) for number in range(10_000)]
    assert b"errors: 0, replies: 10000\n" in cli("--pipe", stdin=b"".join(commands))
    with Wire(server.connect()) as wire:
        assert wire.call("DBSIZE") == 10_000
        assert wire.call("MGET", "key:0", "key:9999") == [b"\r\n0\0", b"\r\n9999\0"]


def test_errors_in_a_pipe_are_counted(cli: Cli) -> None:
    """Errors among the answers to --pipe are counted, and what stands after them is carried out."""
    commands = frame("SET", "n", "text") + frame("INCR", "n") + frame("NONSENSE") + frame("SET", "last", "1")
    assert b"errors: 2, replies: 4\n" in cli("--pipe", stdin=commands, code=1)
    assert cli("GET", "last") == b"1\n"


def test_a_pipe_of_lines(cli: Cli) -> None:
    """--pipe takes commands as lines of words, too."""
    lines = b"".join(b"SET line:%d 'value %d'\r\n" % (number, number) for number in range(500))
    assert b"errors: 0, replies: 500\n" in cli("--pipe", stdin=lines)
    assert cli("GET", "line:499") == b"value 499\n"


# Its tools.


@EACH_DESIGN
def test_a_scan_finds_each_key_once(cli: Cli, server: Served) -> None:
    """--scan walks over all keys, page by page, and with --pattern over those that match."""
    with Wire(server.connect()) as wire:
        for number in range(2_500):
            wire.command("SET", f"key:{number}", "")
        assert [wire.reply() for _ in range(2_500)] == [b"OK"] * 2_500
    keys = cli("--scan").split()
    assert len(keys) == 2_500
    assert set(keys) == {b"key:%d" % number for number in range(2_500)}
    assert sorted(cli("--scan", "--pattern", "key:*99").split()) == sorted(b"key:%d" % n for n in range(99, 2_500, 100))


def test_the_largest_value_is_found(cli: Cli) -> None:
    """--bigkeys and --memkeys read lengths and sizes of all values, and name the largest."""
    for size in (10, 1_000, 100):
        cli("SET", f"size:{size}", "x" * size)
    lengths = cli("--bigkeys").decode()
    assert "Sampled 3 keys in the keyspace!" in lengths
    assert "Biggest string found '\"size:1000\"' has 1000 bytes" in lengths
    assert "3 strings with 1110 bytes" in lengths
    assert re.search(r"""Biggest string found '"size:1000"' has 1\d\d\d bytes""", cli("--memkeys").decode())


def test_latency_is_measured(cli: Cli) -> None:
    """--latency measures PING for a while: least, most, mean, and how often."""
    least, most, mean, samples = cli("--raw", "--latency", "-i", "0.1").split()[:4]
    assert 0 <= int(least) <= float(mean) <= int(most) < 1_000
    assert int(samples) >= 1


def test_figures_roll_by(cli: Cli) -> None:
    """--stat shows the number of keys, of clients and of requests, again and again."""
    cli("MSET", "a", "1", "b", "2", "c", "3")
    with Terminal([*cli.words, "--stat", "-i", "0.1"], {"TERM": "xterm"}) as terminal:
        terminal.wait_for("keys +mem +clients +blocked +requests +connections")
        first = terminal.wait_for(r"\n(\d+) +(\S+) +(\d+) +0 +(\d+) \(\+0\) +(\d+)")
        assert first[1] == "3"
        assert first[2].endswith("M")
        assert int(first[3]) >= 1
        second = terminal.wait_for(r"\n3 +\S+ +\d+ +0 +(\d+) \(\+1\)")
        assert int(second[1]) == int(first[4]) + 1


# A person at a terminal.


@pytest.fixture
def terminal(redis_cli: str, server: Served, tmp_path: Path) -> Terminal:
    """Return redis-cli at a terminal, connected."""
    environment = {"TERM": "xterm", "HOME": str(tmp_path), "REDISCLI_HISTFILE": "/dev/null"}
    return Terminal([redis_cli, "-h", server.host, "-p", str(server.port)], environment)


@EACH_DESIGN
def test_a_conversation(terminal: Terminal, server: Served) -> None:
    """At the prompt commands are answered one by one; QUIT ends it."""
    prompt = f"{server.address}> "
    with terminal:
        for typed, shown in (
            ("set k 'hello world'", "OK"),
            ("get k", '"hello world"'),
            ("get nothing", r"\(nil\)"),
            ("incr n", r"\(integer\) 1"),
            ("mget k nothing", r'1\) "hello world"\r\n2\) \(nil\)'),
            ("incr k", r"\(error\) ERR value is not an integer or out of range"),
            ("nonsense 1", r"\(error\) ERR unknown command 'nonsense', with args beginning with: '1' "),
            ("hello 3", r'3# "proto" => \(integer\) 3'),
        ):
            terminal.wait_for(prompt)
            terminal.press(f"{typed}\r")
            terminal.wait_for(rf"\r\n{shown}\r\n")
        terminal.wait_for(prompt)
        terminal.press("quit\r")
        assert terminal.wait() == 0


def test_the_prompt_knows_of_a_transaction(terminal: Terminal, server: Served) -> None:
    """Between MULTI and EXEC the prompt says so; afterwards, and after an error too, it does not."""
    with terminal:
        terminal.wait_for("> ")
        for typed, shown, prompt in (
            ("multi", "OK", r"\(TX\)> "),
            ("set k v", "QUEUED", r"\(TX\)> "),
            ("exec", r"1\) OK", rf"{server.port}> "),
            ("multi", "OK", r"\(TX\)> "),
            ("nonsense", r"\(error\) ERR unknown command", r"\(TX\)> "),
            ("exec", r"\(error\) EXECABORT Transaction discarded because of previous errors\.", rf"{server.port}> "),
        ):
            terminal.press(f"{typed}\r")
            terminal.wait_for(rf"\r\n{shown}.*{prompt}")


def test_hints_come_from_the_server(terminal: Terminal) -> None:
    """As a command is typed, redis-cli shows the words that it takes: it asked the server for them."""
    with terminal:
        terminal.wait_for("> ")
        terminal.press("kvs.scan")
        terminal.wait_for(r"kvs\.scan start stop \[LIMIT count\] \[REVERSE\] \[KEYS\]")
        terminal.press(" a")
        terminal.wait_for(r"kvs\.scan a stop \[LIMIT count\]")
        terminal.press(" b\r")
        terminal.wait_for(r"\(empty array\).*> ")
        terminal.press("mset")
        terminal.wait_for(r"mset key value \[key value \.\.\.\]")


def test_help_comes_from_the_server(terminal: Terminal) -> None:
    """`help` shows what a command is for, subcommands too; the tab key completes its name."""
    with terminal:
        terminal.wait_for("> ")
        terminal.press("help kvs.compact\r")
        terminal.wait_for(r"KVS\.COMPACT\s+summary: Return when [^\r]+\s+since: 0\.[^\r]+\s+group: server\s.*> ")
        terminal.press("help client setname\r")
        terminal.wait_for(r"CLIENT SETNAME connection-name\s+summary: [^\r]+\s+since: [^\r]+\s+group: connection\s.*> ")
        terminal.press("dbs\t\r")
        terminal.wait_for(r"DBSIZE.*\(integer\) 0\r\n")


def test_a_lost_connection_is_made_again(terminal: Terminal, server: Served) -> None:
    """When the server closes the connection, redis-cli says so at the next command, and makes another for the next."""
    with terminal, Wire(server.connect()) as wire:
        terminal.wait_for("> ")
        terminal.press("client setname person\r")
        terminal.wait_for("OK.*> ")
        clients = wire.call("CLIENT", "LIST")
        assert isinstance(clients, bytes)
        number = next(line for line in clients.splitlines() if b"name=person" in line).split()[0]
        assert wire.call("CLIENT", "KILL", "ID", number.removeprefix(b"id=")) == 1
        terminal.press("ping\r")
        terminal.wait_for("Error: (Server closed the connection|Connection reset by peer).*not connected> ")
        terminal.press("echo again\r")
        terminal.wait_for(rf'\r\n"again"\r\n.*{server.port}> ')
