"""Running the command line under test, and keeping a transcript of what was asked and answered."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from support.difference import point_at
from support.session import Session
from support.warm_start import WarmStart

DEADLINE_S: Final = 15
LONGEST_SHOWN: Final = 400
"""How much of a stream a transcript shows, in bytes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    stdout: bytes
    stderr: bytes
    exit_code: int

    def expect(self, *, stdout: bytes | None = None, stderr: bytes | None = None, exit_code: int = 0) -> "Outcome":
        """Check what came back; a stream that is not named may say anything."""
        __tracebackhide__ = True
        assert self.exit_code == exit_code, f"exit code {self.exit_code} instead of {exit_code}"
        for stream, found, wanted in (("stdout", self.stdout, stdout), ("stderr", self.stderr, stderr)):
            if wanted is not None and found != wanted:
                pytest.fail(f"{stream} is not what it should be\n{point_at(wanted, found)}", pytrace=False)
        return self

    def expect_usage(self) -> None:
        """Check that the words were refused: exit 2, and help on stderr."""
        __tracebackhide__ = True
        self.expect(stdout=b"", exit_code=2)
        assert self.stderr.strip(), "wrong usage is answered on stderr"


class Cli:
    """The command line under test, run in a directory of the test's own.

    Args:
        command: the words that start it.
        environment: the child's environment.
        directory: where it runs.
        transcript: takes what was asked and answered.
        warm: starts the command faster, where that is possible.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        transcript: list[str],
        warm: WarmStart | None = None,
    ) -> None:
        self.directory = directory
        self._warm = warm
        self._command = list(command)
        self._environment = dict(environment)
        self._transcript = transcript

    def __call__(self, *words: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
        """Run one command to its end and return what it left.

        Args:
            words: what stands after `kvs`.
            stdin: all that the command can read.
            env: variables to set for this run.
        """
        self._note("$ kvs", words, stdin, env or {})
        try:
            done = self._start([os.fsdecode(word) for word in words], stdin, self._environment | dict(env or {}))
        except subprocess.TimeoutExpired:
            pytest.fail(f"the command did not end within {DEADLINE_S} s", pytrace=False)
        self._note_answer(done)
        assert b"Traceback (most recent call last)" not in done.stderr, "a traceback reached the user"
        return Outcome(done.stdout, done.stderr, done.returncode)

    def _start(self, words: list[str], stdin: bytes, env: Mapping[str, str]) -> "subprocess.CompletedProcess[bytes]":
        """Run one command to its end, by the warm start where there is one."""
        if self._warm is not None:
            return self._warm.run(words, stdin=stdin, cwd=self.directory, env=env, timeout=DEADLINE_S)
        command = [*self._command, *words]
        return subprocess.run(
            command, input=stdin, capture_output=True, timeout=DEADLINE_S, cwd=self.directory, env=env, check=False
        )

    def session(self, *words: str) -> "Session":
        """Start a command to be talked to while it runs."""
        return Session([*self._command, *words], self._environment, self.directory, self._transcript)

    def _note(self, start: str, words: Sequence[str | bytes], stdin: bytes, env: Mapping[str, str]) -> None:
        settings = "".join(f"{name}={shlex.quote(value)} " for name, value in env.items())
        line = " ".join(shlex.quote(os.fsdecode(word)) for word in words)
        self._transcript.append(f"{start.replace('$ ', '$ ' + settings)} {line}")
        self._transcript += [f"  stdin  | {line}" for line in _shown(stdin)]

    def _note_answer(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self._transcript += [f"  stdout | {line}" for line in _shown(done.stdout)]
        self._transcript += [f"  stderr | {line}" for line in _shown(done.stderr)]
        self._transcript.append(f"  exit   | {done.returncode}")


def _shown(stream: bytes) -> list[str]:
    """Return the lines of a stream as a transcript shows them."""
    return stream[:LONGEST_SHOWN].decode("utf-8", "backslashreplace").splitlines()
