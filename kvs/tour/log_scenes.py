"""The tour's scenes of the log-structured store: import, read, crash, compact."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kvs.log.store import LogEngine
from kvs.log.verify import check
from kvs.tour.names import character_names
from kvs.tour.stage import Stage

ACT: Final = 2
"""Where these scenes stand in the tour: it goes by the stages of the course."""
WHERE_NEXT: Final = (
    ("kvs set snowman ☃; kvs get snowman", "a store of your own, in ./kvs-data"),
    ("kvs repl", "the same in conversation"),
    ("kvs inspect", "the bytes of your log, one by one"),
    ('import kvs; kvs.open("data")', "a dict on disk, for your programs"),
)
KILL_AFTER: Final = 60_000
"""Pairs that the second import is fed before it is killed: somewhere in its middle."""
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def import_names(stage: Stage) -> None:
    """All names go in, and all of them are there."""
    stage.title("Import: the names of all Unicode characters")
    pairs = dict(character_names())
    file = _write_tsv(stage.directory / "names.tsv", pairs.items())
    stage.say(f"Python knows {len(pairs):,} named characters. They become keys, the characters their values.")
    started = time.perf_counter()
    stage.run("import", str(file))
    seconds = time.perf_counter() - started
    with LogEngine.open(stage.store, flag="r") as store:
        stage.claim(len(store) == len(pairs), f"{len(pairs):,} keys are stored, in {seconds:.1f} seconds")
        wrong = sum(store.get(name.encode()) != character.encode() for name, character in pairs.items())
        stage.claim(wrong == 0, "each one reads back as the character that Python gave it")


def read_and_scan(stage: Stage) -> None:
    """Point reads by name, and a range in key order."""
    stage.title("Read: one name, then a range")
    stage.claim(stage.run("get", "SNOWMAN") == "☃\n", "SNOWMAN is ☃")
    stage.claim(stage.run("get", "SNOWMAN WITH A HAT") == "Key not found\n", "and what is not there is said not to be")
    stage.say("Keys have an order, so a prefix is a question too.")
    answer = stage.run("scan", "--prefix", "GREEK SMALL LETTER", shows=8)
    keys = [line.split("\t")[0] for line in answer.splitlines()]
    expected = sorted(name for name, _ in character_names() if name.startswith("GREEK SMALL LETTER"))
    stage.claim(keys == expected, f"{len(keys)} Greek small letters, in key order, none missing")


def crash(stage: Stage) -> None:
    """A second import is killed in its middle; nothing that it acknowledged is missing."""
    stage.title("Crash: kill -9 in the middle of an import")
    stage.say("A second import stores the other direction, U+2603 → SNOWMAN, and says after each batch how far it is.")
    pairs = [(f"U+{ord(character):04X}", name) for name, character in character_names()]
    acknowledged = _import_and_kill(stage, [_tsv_line(key, name).encode() for key, name in pairs[:KILL_AFTER]])
    stage.claim(acknowledged > 0, f"{acknowledged:,} of {len(pairs):,} pairs were acknowledged by then")
    with LogEngine.open(stage.store) as store:
        recovery = store.stats().recovery
        stage.claim(not recovery.was_clean, "the store knows that it was not closed")
        found = sum(key.startswith(b"U+") for key in store)
        stage.claim(found >= acknowledged, f"{found:,} of them are there; acknowledged and missing: 0")
        wrong = sum(store.get(key.encode()) != name.encode() for key, name in pairs[:found])
        stage.claim(wrong == 0, "they are the beginning of the file, without a gap, each value right")
        first = sum(store.get(name.encode()) == character.encode() for name, character in character_names())
        stage.claim(first == len(pairs), f"the {first:,} pairs of the first import are there, too")


def compact(stage: Stage) -> None:
    """Dead bytes grow by overwriting and removing; compaction gives them back."""
    stage.title("Compact: the log gives back what is dead")
    stage.say("The log only ever grows: a new value and a removal leave the old record behind, dead.")
    with LogEngine.open(stage.store, compact_dead_ratio=1.0) as store:
        store.write((key, None) for key in store if key.startswith((b"U+", b"CJK", b"HANGUL")))
        keys, before = dict(store), store.stats()
        stage.show_bytes("before", before.live_bytes, before.dead_bytes, before.live_bytes + before.dead_bytes)
        size_before = _directory_bytes(stage.store)
        store.compact()
        after = store.stats()
        stage.show_bytes("after", after.live_bytes, after.dead_bytes, before.live_bytes + before.dead_bytes)
        stage.claim(after.dead_bytes == 0, f"{before.dead_bytes:,} bytes were dead; none are now")
        stage.claim(dict(store) == keys, f"the {len(keys):,} keys that are left have their values")
    size_after = _directory_bytes(stage.store)
    stage.claim(size_after < size_before / 2, f"the directory shrank from {size_before:,} to {size_after:,} bytes")
    stage.claim(not check(stage.store).findings, "and a check of every byte finds nothing wrong")


SCENES: Final = (import_names, read_and_scan, crash, compact)


def _import_and_kill(stage: Stage, lines: list[bytes]) -> int:
    """Feed lines to an import, kill it before it has seen their end, and return how many pairs it acknowledged.

    It is fed through a pipe, so that however fast or slow the machine is, it dies at work and not after it.
    """
    words = ("import", "-", "--format", "tsv", "--skip-bad", "--ack")
    stage.show_command("kvs", words, "< code-points.tsv")
    with stage.process(
        stage.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdin is not None  # noqa: S101  # both were asked for
        assert child.stdout is not None  # noqa: S101
        try:
            child.stdin.writelines(lines)
        finally:
            child.kill()
        acknowledged = max(map(int, child.stdout.read().split()), default=0)
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
    stage.show_signal(signal.SIGKILL, child.pid)
    stage.claim(child.returncode == -signal.SIGKILL, "the import died in its middle")
    return acknowledged


def _write_tsv(file: Path, pairs: Iterable[tuple[str, str]]) -> Path:
    """Write pairs as `kvs import` reads them."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(_tsv_line(key, value) for key, value in pairs)
    return file


def _tsv_line(key: str, value: str) -> str:
    """Return one line; the few characters that mean something there are escaped."""
    return f"{key.translate(_ESCAPES)}\t{value.translate(_ESCAPES)}\n"


def _directory_bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())
