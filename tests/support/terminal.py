"""A program that believes it sits at a terminal: what it shows is read, what a person would type is sent."""

import errno
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import pytest

DEADLINE_S: Final = 15.0
CONTROL: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x07")
"""Colours, movements of the cursor and the bell."""
SIZE: Final = struct.pack("HHHH", 40, 160, 0, 0)
"""Lines and columns. Without a size a program may ask the terminal, and wait for the answer."""


class Terminal:
    """One program at a terminal of its own; it is killed when the `with` block ends.

    Args:
        command: its words.
        environment: its environment.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), start_new_session=True
        )
        os.close(theirs)
        self._shown = ""

    def press(self, keys: str) -> None:
        """Type; a carriage return is the return key."""
        os.write(self._ours, keys.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match in what was shown since the last wait, without colours; what is before it is gone."""
        __tracebackhide__ = True
        end = time.monotonic() + DEADLINE_S
        while (found := re.search(pattern, self._shown, re.DOTALL)) is None:
            if not self._read(end - time.monotonic()):
                pytest.fail(f"the terminal does not show {pattern!r}, but\n{self._shown}")
        self._shown = self._shown[found.end() :]
        return found

    def _read(self, timeout_s: float) -> bool:
        """Read what is shown next; return whether anything was."""
        if not select.select([self._ours], [], [], max(0.0, timeout_s))[0]:
            return False
        try:
            chunk = os.read(self._ours, 1 << 16)
        except OSError as error:  # Linux's way to say that the program is gone
            if error.errno != errno.EIO:
                raise
            chunk = b""
        self._shown = CONTROL.sub("", self._shown + chunk.decode(errors="replace"))
        return chunk != b""

    def wait(self) -> int:
        """Return the exit code when the program has ended by itself."""
        while self._read(DEADLINE_S):
            pass
        return self._process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)
        os.close(self._ours)
