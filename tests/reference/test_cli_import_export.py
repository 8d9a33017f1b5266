"""Import and export through real processes and a real store: all or nothing, exact, and honest when killed."""

import os
import pty
import random
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli

import kvs

DEADLINE_S = 15
FORMATS = ["tsv", "csv", "jsonl"]


def fill(directory: Path, pairs: dict[bytes, bytes]) -> None:
    """Make a store of these pairs."""
    with kvs.open(directory) as store:
        store.update(pairs)


def contents(directory: Path) -> dict[bytes, bytes]:
    """Return what a store holds."""
    with kvs.open(directory, flag="r") as store:
        return dict(store)


def random_pairs(rng: random.Random, count: int) -> dict[bytes, bytes]:
    """Return pairs of random bytes, the empty key and value among them."""
    return {b"": b"", **{rng.randbytes(rng.randrange(1, 12)): rng.randbytes(rng.randrange(40)) for _ in range(count)}}


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Let children hear Ctrl-C even where this run itself was started in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("ending", FORMATS)
def test_round_trip_is_identity(cli: Cli, rng: random.Random, ending: str) -> None:
    """What is exported from one store and imported into another is the same store, byte for byte."""
    pairs = random_pairs(rng, 3_000)
    fill(cli.directory / "a", pairs)
    count = f"{len(pairs):,} pairs\n".encode()
    cli("export", f"out.{ending}", "--dir", "a").expect(stdout=b"exported " + count, stderr=b"")
    cli("import", f"out.{ending}", "--dir", "b").expect(stdout=b"imported " + count, stderr=b"")
    assert contents(cli.directory / "b") == pairs
    piped = cli("export", "--format", ending, "--dir", "b").expect(stderr=b"exported " + count).stdout
    assert piped == (cli.directory / f"out.{ending}").read_bytes(), "key order makes exports of equal stores equal"
    cli("import", "-", "--format", ending, "--dir", "c", stdin=piped).expect(stdout=b"imported " + count, stderr=b"")
    assert contents(cli.directory / "c") == pairs


def test_scan_output_can_be_imported(cli: Cli, rng: random.Random) -> None:
    """`kvs scan` prints what `kvs import -` reads."""
    pairs = random_pairs(rng, 300)
    fill(cli.directory / "a", pairs)
    cli("import", "-", "--dir", "b", stdin=cli("scan", "--dir", "a").stdout).expect(stderr=b"")
    assert contents(cli.directory / "b") == pairs


@pytest.mark.parametrize("is_piped", [True, False])
def test_a_malformed_line_imports_nothing(cli: Cli, is_piped: bool) -> None:
    """One malformed line, even the last of many batches: it is named in one line, and nothing at all is imported."""
    text = b"".join(b"key%d\tvalue\n" % number for number in range(5_000)) + b"no tab\n"
    (cli.directory / "in.tsv").write_bytes(text)
    fill(cli.directory / "kvs-data", {b"key1": b"old"})
    outcome = cli("import", "-", stdin=text) if is_piped else cli("import", "in.tsv")
    outcome.expect(stdout=b"", exit_code=1)
    name = b"stdin" if is_piped else b"in.tsv"
    assert outcome.stderr.startswith(b"kvs: " + name + b":5001: expected a key, one tab and a value")
    assert outcome.stderr.count(b"\n") == 1
    assert contents(cli.directory / "kvs-data") == {b"key1": b"old"}


def test_a_malformed_import_makes_no_store(cli: Cli) -> None:
    """Where there was no store, a malformed file does not bring one into being."""
    cli("import", "-", stdin=b"bad\n").expect(stdout=b"", exit_code=1)
    cli("import", "missing.tsv").expect(
        stdout=b"", stderr=b"kvs: missing.tsv: No such file or directory\n", exit_code=1
    )
    assert not any(cli.directory.iterdir())


def test_skip_bad_counts_and_names_what_it_skips(cli: Cli) -> None:
    """--skip-bad imports the rest, names each malformed line on stderr, counts them, and exits with 0."""
    outcome = cli("import", "-", "--skip-bad", stdin=b"bad\na\t1\n\nb\t2\nb\t\\q\n")
    outcome.expect(stdout=b"imported 2 pairs, skipped 3 lines\n")
    assert [line.split(b":")[2] for line in outcome.stderr.splitlines()] == [b"1", b"3", b"5"]
    assert contents(cli.directory / "kvs-data") == {b"a": b"1", b"b": b"2"}


def test_of_a_key_that_comes_twice_the_last_counts(cli: Cli) -> None:
    """Lines are stored in their order, across batches and within one."""
    lines = b"".join(b"k\t%d\nl%d\t\n" % (number, number) for number in range(10))
    cli("import", "-", "--batch", "3", stdin=lines).expect(stdout=b"imported 20 pairs\n", stderr=b"")
    assert contents(cli.directory / "kvs-data")[b"k"] == b"9"


def test_large_values_make_batches_of_their_own(cli: Cli, rng: random.Random) -> None:
    """Batches are bounded in bytes, too: one large value after the other is acknowledged."""
    value = rng.randbytes(3_000_000).hex().encode()
    outcome = cli("import", "-", "--ack", stdin=b"a\t%b\nb\t%b\nc\tsmall\n" % (value, value))
    outcome.expect(stdout=b"1\n2\n3\n", stderr=b"")
    assert contents(cli.directory / "kvs-data") == {b"a": value, b"b": value, b"c": b"small"}


@pytest.mark.parametrize("sync", ["always", "interval", "none"])
def test_acknowledgements_count_up(cli: Cli, sync: str) -> None:
    """With --ack the count so far is printed after each batch, in every sync mode."""
    lines = b"".join(b"k%d\tv\n" % number for number in range(25))
    cli("import", "-", "--ack", "--batch", "10", "--sync", sync, stdin=lines).expect(stdout=b"10\n20\n25\n", stderr=b"")
    cli("import", "-", "--ack", stdin=b"").expect(stdout=b"0\n", stderr=b"")
    cli("import", "-", "--sync", "sometimes").expect_usage()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_import_keeps_what_it_acknowledged(cli: Cli, number: signal.Signals) -> None:
    """An import that is killed, or stopped by Ctrl-C, has stored all that it acknowledged, and whole batches only."""
    count, batch = 300_000, 50
    (cli.directory / "in.tsv").write_bytes(b"".join(b"%07d\tvalue\n" % each for each in range(count)))
    words = [*cli._command, "import", "in.tsv", "--ack", "--batch", str(batch)]
    child = subprocess.Popen(
        words,
        bufsize=0,  # so that communicate misses nothing that readline had buffered
        cwd=cli.directory,
        env=cli._environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    seen = b"".join(child.stdout.readline() for _ in range(20))
    child.send_signal(number)
    rest, stderr = child.communicate(timeout=DEADLINE_S)
    acknowledged = int((seen + rest).splitlines()[-1])
    assert (child.returncode, stderr) == (130 if number == signal.SIGINT else -number, b"")
    assert acknowledged < count, "it was stopped in the middle"
    kept = len(contents(cli.directory / "kvs-data"))
    assert acknowledged <= kept <= acknowledged + batch
    assert kept % batch == 0
    if number == signal.SIGINT:
        assert kept == acknowledged, "Ctrl-C comes between batches"


def test_an_export_that_fails_leaves_the_old_file(cli: Cli) -> None:
    """The file is replaced when all is written, not before: rot in the middle leaves the export of yesterday."""
    fill(cli.directory / "kvs-data", {b"k%04d" % number: b"v" * 100 for number in range(3_000)})
    (cli.directory / "out.tsv").write_text("yesterday")
    file = cli.directory / "kvs-data" / "0000000001.data"
    data = bytearray(file.read_bytes())
    data[data.index(b"k2500") + 50] ^= 1
    file.write_bytes(data)
    cli("get", "k2499").expect(stdout=b"v" * 100 + b"\n", stderr=b"")  # it opens: the rot is met on the way
    outcome = cli("export", "out.tsv").expect(stdout=b"", exit_code=1)
    assert outcome.stderr.count(b"\n") == 1
    assert sorted(path.name for path in cli.directory.iterdir()) == ["kvs-data", "out.tsv"]
    assert (cli.directory / "out.tsv").read_text() == "yesterday"


def test_an_export_goes_through_links_and_into_pipes(cli: Cli) -> None:
    """A symbolic link stays one, and a device is written to, not replaced."""
    fill(cli.directory / "kvs-data", {b"k": b"v"})
    (cli.directory / "real.tsv").write_text("old")
    (cli.directory / "link.tsv").symlink_to("real.tsv")
    cli("export", "link.tsv").expect(stdout=b"exported 1 pair\n", stderr=b"")
    assert (cli.directory / "link.tsv").is_symlink()
    assert (cli.directory / "real.tsv").read_bytes() == b"k\tv\n"
    cli("export", "/dev/null").expect(stdout=b"exported 1 pair\n", stderr=b"")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    "words", [["import", "in.tsv"], ["export", "out.tsv"], ["check"], ["compact"], ["backup", "b"]]
)
def test_a_bar_is_drawn_on_a_terminal_only(cli: Cli, words: list[str]) -> None:
    """On a terminal a progress bar moves on stderr; answers stay on stdout, and elsewhere stderr stays empty."""
    fill(cli.directory / "kvs-data", {b"%06d" % number: b"v" for number in range(5_000)})
    (cli.directory / "in.tsv").write_bytes(b"k\tv\n")
    quiet = cli(*words).expect(stderr=b"")
    assert quiet.stdout
    if words[0] == "backup":
        words = ["backup", "c"]
    controller, terminal = pty.openpty()
    environment = cli._environment | {"TERM": "xterm", "COLUMNS": "60"}
    child = subprocess.Popen(
        [*cli._command, *words], cwd=cli.directory, env=environment, stdout=subprocess.PIPE, stderr=terminal
    )
    os.close(terminal)
    drawn = b""
    deadline = time.monotonic() + DEADLINE_S
    while select.select([controller], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            drawn += os.read(controller, 4096)
        except OSError:  # the other side is closed
            break
    stdout, _ = child.communicate(timeout=DEADLINE_S)
    os.close(controller)
    assert child.returncode == 0
    assert stdout
    assert b"\x1b" not in stdout
    assert {"import": b"importing", "export": b"exporting", "check": b"checking", "compact": b"compacting"}.get(
        words[0], b"backing up"
    ) in drawn
