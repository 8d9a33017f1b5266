"""The commands on a store in a directory: bytes in and out, every answer and exit status, and what cannot be used."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from support.cli import Cli

import kvs
from kvs.log.store import LogEngine

MISSING = b"Key not found\n"
AWKWARD = [
    b"-5",
    b"-",
    b"-h",
    b"-help",
    b"-V",
    b"---",
    b"--5",
    b"--a b",
    b"--",
    b"a b",
    b"\xff\xfe",
    b"\xc3",
    "é".encode(),
]


def store_of(cli: Cli) -> Path:
    """Return the directory that commands use when nothing else is said."""
    return cli.directory / "kvs-data"


def damage(file: Path, offset: int) -> None:
    """Flip a bit of a file."""
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("word", [word for word in AWKWARD if word not in {b"-", b"--"}])
def test_keys_and_values_may_begin_with_a_dash(cli: Cli, word: bytes) -> None:
    """A word with one dash in front, or with two and no name behind, is a key or a value like any other."""
    cli("set", word, word).expect(stdout=b"", stderr=b"")
    cli("get", word).expect(stdout=word + b"\n", stderr=b"")


@pytest.mark.parametrize("word", [b"--", b"--bogus", b"--hex", b"--dir=x", b"--help"])
def test_after_a_lone_double_dash_anything_goes(cli: Cli, word: bytes) -> None:
    """After `--` options end: what looks like one is a key or a value."""
    cli("set", "--", word, word).expect(stdout=b"", stderr=b"")
    cli("get", "--", word).expect(stdout=word + b"\n", stderr=b"")


def test_hex_names_any_bytes(cli: Cli, rng: random.Random) -> None:
    """With --hex key and value are given and shown as hex digits, the empty ones included."""
    for key, value in [(rng.randbytes(9), rng.randbytes(20)), (b"\0", b""), (b"", b"\n")]:
        cli("set", "--hex", key.hex(), value.hex()).expect(stdout=b"", stderr=b"")
        cli("get", key.hex().upper(), "--hex").expect(stdout=value.hex().encode() + b"\n", stderr=b"")
        cli("scan", "--hex", "--start", key.hex(), "--limit", "1").expect(
            stdout=f"{key.hex()}\t{value.hex()}\n".encode()
        )
        cli("rm", "--hex", key.hex()).expect(stdout=b"", stderr=b"")


@pytest.mark.parametrize("word", ["f", "fg", "0x00", "é"])
def test_bad_hex_is_one_line(cli: Cli, word: str) -> None:
    """What is no hex is told in one line, and no store is made."""
    outcome = cli("set", "--hex", word, "00").expect(stdout=b"", exit_code=1)
    assert outcome.stderr.startswith(b"kvs: expected pairs of hex digits")
    assert outcome.stderr.count(b"\n") == 1
    assert not store_of(cli).exists()


def test_values_from_stdin_and_files_are_taken_byte_for_byte(cli: Cli, rng: random.Random) -> None:
    """`-` reads the value from stdin and --file from a file, with every byte, also with --hex."""
    value = bytes(range(256)) + rng.randbytes(100_000) + b"\n"
    (cli.directory / "value").write_bytes(value)
    cli("set", "a", "-", stdin=value).expect(stdout=b"", stderr=b"")
    cli("set", "b", "--file", "value").expect(stdout=b"", stderr=b"")
    cli("set", "63", "-", "--hex", stdin=value).expect(stdout=b"", stderr=b"")
    cli("set", "empty", "-").expect(stdout=b"", stderr=b"")
    for key in "abc":
        cli("get", key, "--raw").expect(stdout=value, stderr=b"")
        cli("get", key).expect(stdout=value + b"\n", stderr=b"")
    cli("get", "empty", "--raw").expect(stdout=b"", stderr=b"")


@pytest.mark.parametrize("words", [["k"], ["k", "v", "--file", "f"], [], ["k", "v", "w"], ["k", "--file"]])
def test_set_wants_one_value(cli: Cli, words: list[str]) -> None:
    """`kvs set` takes one key and one value, from one place; else it is usage, and no store is made."""
    cli("set", *words).expect_usage()
    assert not store_of(cli).exists()


def test_get_check_tells_by_its_exit_status(cli: Cli) -> None:
    """`get --check` exits with 1 when the key is absent; without it the exit status is 0."""
    cli("set", "k", "Key not found")
    cli("get", "k", "--check").expect(stdout=MISSING, exit_code=0)
    cli("get", "absent", "--check").expect(stdout=MISSING, stderr=b"", exit_code=1)
    cli("get", "absent").expect(stdout=MISSING, stderr=b"", exit_code=0)


def test_rm_of_an_absent_key_fails(cli: Cli) -> None:
    """`rm` of an absent key says so on stderr and exits with 1."""
    cli("set", "k", "v")
    cli("rm", "absent").expect(stdout=b"", stderr=MISSING, exit_code=1)
    cli("rm", "k").expect(stdout=b"", stderr=b"")
    cli("rm", "k").expect(stdout=b"", stderr=MISSING, exit_code=1)


@pytest.mark.parametrize(
    ("words", "stdout", "exit_code"),
    [
        (["get", "k"], MISSING, 0),
        (["scan"], b"", 0),
        (["export"], b"", 1),
        (["rm", "k"], b"", 1),
        (["stats"], b"", 1),
        (["compact"], b"", 1),
        (["check"], b"", 1),
        (["inspect"], b"", 1),
        (["backup", "elsewhere"], b"", 1),
        (["repair", "elsewhere"], b"", 1),
        (["restore", "nowhere"], b"", 1),
    ],
)
def test_reading_makes_no_store(cli: Cli, words: list[str], stdout: bytes, exit_code: int) -> None:
    """Where there is no store, a command that only reads finds nothing, and leaves nothing."""
    outcome = cli(*words).expect(stdout=stdout, exit_code=exit_code)
    assert outcome.stderr.count(b"\n") == (words[0] == "export" or exit_code)
    assert not any(cli.directory.iterdir())


def test_the_directory_is_named_in_three_ways(cli: Cli) -> None:
    """--dir goes before KVS_DIR, and that before ./kvs-data; --dir may stand before the command, too."""
    cli("set", "k", "option", "--dir", "a")
    cli("--dir", "b", "set", "k", "before", env={"KVS_DIR": "c"})
    cli("set", "k", "variable", env={"KVS_DIR": "c"})
    cli("set", "k", "default")
    assert sorted(path.name for path in cli.directory.iterdir()) == ["a", "b", "c", "kvs-data"]
    cli("get", "k", "--dir=a", env={"KVS_DIR": "c"}).expect(stdout=b"option\n")
    cli("get", "--dir", "b", "k").expect(stdout=b"before\n")
    cli("get", "k", env={"KVS_DIR": "c"}).expect(stdout=b"variable\n")
    cli("get", "k").expect(stdout=b"default\n")
    cli("get", "k", "--dir", "").expect(
        stdout=b"", stderr=b"kvs: expected the directory of a store, found an empty name\n", exit_code=1
    )


def test_scan_prints_bounds_in_key_order(cli: Cli) -> None:
    """`scan` prints key<TAB>value in the order of the keys' bytes, within its bounds."""
    script = "".join(f"set {key} {key}v\n" for key in ("b2", "a", "é", "b10", "B", "c"))
    cli("repl", stdin=script.encode()).expect(stderr=b"")

    def keys(*words: str) -> list[str]:
        return [line.split(b"\t")[0].decode() for line in cli("scan", *words).stdout.splitlines()]

    assert keys() == ["B", "a", "b10", "b2", "c", "é"]
    assert keys("--prefix", "b") == ["b10", "b2"]
    assert keys("--start", "b10", "--stop", "c") == ["b10", "b2"]
    assert keys("--limit", "2") == ["B", "a"]
    assert keys("--limit", "2", "--reverse") == ["é", "c"]
    assert keys("--limit", "0") == []
    cli("scan", "--prefix", "é").expect(stdout="é\tév\n".encode(), stderr=b"")
    cli("scan", "--limit", "-1").expect_usage()
    cli("scan", "--limit", "x").expect_usage()
    cli("scan", "extra").expect_usage()


def test_scan_keeps_a_pair_on_its_line(cli: Cli) -> None:
    """What would break a line, or steer a terminal, is escaped."""
    cli("set", "--hex", b"a\tb\n".hex(), b"\x1b[2J\xff\\".hex())
    cli("scan").expect(stdout=b"a\\tb\\n\t\\x1b[2J\\xff\\\\\n", stderr=b"")


def test_stats_and_compact_have_a_table_and_json(cli: Cli) -> None:
    """`stats` and `compact` print the store's figures, as a table and as JSON."""
    cli("repl", stdin=b"".join(b"set k %d\n" % number for number in range(50)))
    before = json.loads(cli("stats", "--json").expect(stderr=b"").stdout)
    assert (before["keys"], before["engine"]) == (1, "lockfree")
    assert before["dead_bytes"] > before["live_bytes"] > 0
    assert before["recovery"]["was_clean"] is True
    table = cli("stats").expect(stderr=b"").stdout.decode()
    assert "keys " in table
    assert "recovery: was clean" in table
    done = json.loads(cli("compact", "--json").expect(stderr=b"").stdout)
    assert (done["keys"], done["dead_bytes_before"], done["dead_bytes_after"]) == (1, before["dead_bytes"], 0)
    assert done["disk_bytes_after"] < done["disk_bytes_before"]
    assert b"disk bytes after" in cli("compact").expect(stderr=b"").stdout
    cli("get", "k").expect(stdout=b"49\n")


def test_check_is_silent_on_stderr_and_0_on_a_sound_store(cli: Cli) -> None:
    """`check` of a sound store prints a table without findings and exits with 0."""
    cli("set", "k", "v")
    assert b"findings    0\n" in cli("check").expect(stderr=b"").stdout
    assert json.loads(cli("check", "--json").expect(stderr=b"").stdout)["findings"] == []


def test_damage_is_found_told_and_repaired(cli: Cli) -> None:
    """Rot is told by get in one line, by check with file and offset and exit 1, and repair saves the rest."""
    cli("repl", stdin=b"set a 1\nset b 2\nset c 3\n")
    file = store_of(cli) / "0000000001.data"
    place = file.read_bytes().index(b"2", 32 + 26)
    damage(file, file.read_bytes().index(b"b2"))
    refused = cli("get", "a").expect(stdout=b"", exit_code=1).stderr
    assert refused.startswith(b"kvs: ")
    assert refused.count(b"\n") == 1
    assert b"0000000001.data" in refused
    finding, *_ = cli("check").expect(stderr=b"", exit_code=1).stdout.splitlines()
    assert b"0000000001.data" in finding
    assert b"offset 58" in finding, f"the second record begins at 58, and {place} is in it"
    report = json.loads(cli("check", "--json").expect(exit_code=1).stdout)
    assert [found["offset"] for found in report["findings"]] == [58]
    before = file.read_bytes()
    assert b"0000000001.data" in cli("repair", "saved").expect(stderr=b"").stdout
    assert file.read_bytes() == before, "the damaged store stays as it is"
    cli("scan", "--dir", "saved").expect(stdout=b"a\t1\nc\t3\n", stderr=b"")
    again = cli("repair", "saved").expect(stdout=b"", exit_code=1)
    assert again.stderr.count(b"\n") == 1
    assert json.loads(cli("repair", "saved2", "--json").expect(stderr=b"").stdout)["keys"] == 2


def test_backup_is_a_store_and_restore_makes_one(cli: Cli) -> None:
    """A backup holds what the store held; a restored store too; neither ever replaces a store."""
    cli("set", "k", "v")
    assert b"segments" in cli("backup", "copy").expect(stderr=b"").stdout
    cli("set", "k", "later")
    cli("get", "k", "--dir", "copy").expect(stdout=b"v\n")
    for words in (["backup", "copy"], ["restore", "copy"]):
        assert cli(*words).expect(stdout=b"", exit_code=1).stderr.count(b"\n") == 1
    cli("get", "k").expect(stdout=b"later\n")
    assert json.loads(cli("restore", "copy", "--dir", "new", "--json").expect(stderr=b"").stdout)["segments"] == 1
    cli("get", "k", "--dir", "new").expect(stdout=b"v\n")


COMMANDS = [
    ["get", "k"], ["set", "k", "v"], ["rm", "k"], ["scan"], ["stats"], ["compact"], ["check"], ["export"], ["repl"],
    ["import", "-"], ["backup", "copy"], ["repair", "copy"],
]  # fmt: skip


def expect_refusal(cli: Cli, words: list[str], path: Path, word: str) -> None:
    """Check that a command refuses a directory in one line that holds a word, and makes nothing."""
    outcome = cli(*words, "--dir", str(path), stdin=b"k\tw\n").expect(stdout=b"", exit_code=1)
    assert outcome.stderr.startswith(b"kvs: ")
    assert outcome.stderr.count(b"\n") == 1
    assert word in outcome.stderr.decode()
    assert not (cli.directory / "copy").exists()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_store_in_use_is_refused_in_one_line(cli: Cli, words: list[str]) -> None:
    """A store that a living process owns: one line that names the process, and exit 1."""
    with LogEngine.open(store_of(cli)) as store:
        store[b"k"] = b"v"
        expect_refusal(cli, words, store_of(cli), f"process {os.getpid()}")


@pytest.mark.parametrize("words", COMMANDS[::3], ids=lambda words: words[0])
@pytest.mark.parametrize("below", [".", "below"])
def test_a_file_is_no_directory(cli: Cli, words: list[str], below: str) -> None:
    """A directory that is a file, or would be below one: one line that names it, and exit 1."""
    (cli.directory / "file").write_text("not a directory")
    expect_refusal(cli, words, cli.directory / "file" / below, "file")
    assert (cli.directory / "file").read_text() == "not a directory"


@pytest.mark.parametrize("words", COMMANDS[:9:2], ids=lambda words: words[0])
@pytest.mark.parametrize(("marker", "word"), [("sqlite 1", "sqlite"), ("log 99", "99")])
def test_a_foreign_store_is_refused_and_untouched(cli: Cli, words: list[str], marker: str, word: str) -> None:
    """Another engine's directory, or one of a newer format: one line that tells which, exit 1, nothing touched."""
    cli("set", "k", "v")
    (store_of(cli) / "ENGINE").write_text(f"{marker}\n")
    before = {path.name: path.read_bytes() for path in store_of(cli).iterdir() if path.name != "LOCK"}
    expect_refusal(cli, words, store_of(cli), word)
    assert {path.name: path.read_bytes() for path in store_of(cli).iterdir() if path.name != "LOCK"} == before


def test_a_closed_pipe_is_a_quiet_end_of_a_scan(cli: Cli) -> None:
    """`scan | head` ends quietly with 0, and the store is sound."""
    with kvs.open(store_of(cli)) as store:
        store.update((b"%06d" % number, b"x" * 50) for number in range(20_000))
    words = ["sh", "-c", '("$@"; echo $? >&2) | head -n 1', "sh", *cli._command, "scan"]
    done = subprocess.run(words, cwd=cli.directory, env=cli._environment, capture_output=True, timeout=15, check=False)
    assert (done.stdout, done.stderr) == (b"000000\t" + b"x" * 50 + b"\n", b"0\n")
    cli("check").expect(stderr=b"")
