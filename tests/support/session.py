"""A process that is talked to over its stdin and stdout while it runs, with a deadline on every wait."""

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

DEADLINE_S: Final = 15.0


class Session:
    """One running command; it is killed when the `with` block ends.

    Args:
        command: its words.
        environment: its environment.
        directory: where it runs.
        transcript: takes what was written and read.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path | None, transcript: list[str]
    ) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, env=dict(environment)
        )
        self._transcript = transcript
        self._rest = b""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def write(self, data: bytes) -> None:
        """Write to the process's stdin."""
        assert self._process.stdin is not None
        self._transcript += [f"  > {line}" for line in data.decode(errors="backslashreplace").splitlines()]
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def read_line(self) -> bytes | None:
        """Return the next line of the process's stdout without its end, or None when there will be no more."""
        __tracebackhide__ = True
        assert self._process.stdout is not None
        until = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                pytest.fail(f"the process said nothing for {DEADLINE_S:.0f} s")
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        self._transcript.append(f"  < {line.decode(errors='backslashreplace')}")
        return line

    def read_lines(self) -> list[bytes]:
        """Return all lines that are still to come."""
        return list(iter(self.read_line, None))

    def wait(self) -> int:
        """Return the exit code when the process has ended."""
        return self._process.wait(DEADLINE_S)

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
