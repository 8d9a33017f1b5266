"""The tour's stage: what is said, shown and claimed on the terminal; a claim that is not true ends the tour."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn, TypeAlias

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from kvs.errors import KvsError
from kvs.tour.ending import Ending

Stream: TypeAlias = int | IO[bytes]

DEADLINE_S: Final = 300
BAR_WIDTH: Final = 40
_SETTINGS: Final = ("KVS_", "REDISCLI_", "NOTIFY_SOCKET")
"""How the names of variables begin that would change what the tour's processes do."""


class ClaimError(KvsError):
    """Something that the tour said turned out not to be true: a bug in kvs, or a machine in trouble."""


@dataclass(slots=True)
class Stage:
    """The terminal, and a directory to play in.

    Args:
        console: where everything is shown.
        directory: an empty directory that is the tour's own, gone when it ends.
        ending: what ends the tour before its time.
    """

    console: Console
    directory: Path
    ending: Ending

    @property
    def store(self) -> Path:
        """Where the tour's store lives."""
        return self.directory / "data"

    def title(self, text: str) -> None:
        """Begin a scene."""
        self.console.print()
        self.console.print(Rule(Text(text, style="bold cyan"), align="left", characters="─"))

    def say(self, text: str) -> None:
        """Say a sentence or two."""
        self.console.print(Text(text))

    def run(self, *words: str, shows: int = 6) -> str:
        """Run a kvs command as a process of its own, show it with the first lines of its answer, and return that.

        Raises:
            ClaimError: the command failed.
        """
        self.show_command("kvs", words)
        return self._answer_of(self.command(words), f"kvs {words[0]}", shows)

    def run_other(self, program: str, *words: str, shows: int = 6) -> str:
        """Do the same with another program, which is installed.

        Raises:
            ClaimError: the program failed.
        """
        self.show_command(program, words)
        return self._answer_of([program, *words], program, shows)

    def _answer_of(self, command: Sequence[str], name: str, shows: int) -> str:
        with self.process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, complaint = process.communicate(timeout=DEADLINE_S)
        if process.returncode:
            self.fail(f"{name} ended with {process.returncode}: {complaint.decode(errors='replace').strip()}")
        answer = out.decode()
        lines = answer.splitlines()
        for line in lines[:shows]:
            self.show_line(line)
        if len(lines) > shows:
            self.console.print(Text(f"  … {len(lines) - shows:,} more lines", style="dim"))
        return answer

    @contextmanager
    def process(
        self, command: Sequence[str], *, stdin: int = subprocess.DEVNULL, stdout: Stream, stderr: Stream
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """Start a process, and kill it at the end of the block if it still runs then.

        Its store is this very one, and no setting changes what it does.
        """
        with ExitStack() as stack:
            with self.ending.held():
                process = subprocess.Popen(  # noqa: S603  # our own command lines
                    command, stdin=stdin, stdout=stdout, stderr=stderr, env=self._environment()
                )
                stack.enter_context(process)  # which closes its pipes, and waits
                stack.callback(process.kill)
            yield process

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the whole command line, of this very Python."""
        return [sys.executable, "-m", "kvs", *words]

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        return ours | {"KVS_DIR": str(self.store)}

    def show_command(self, program: str, words: Sequence[str], ending: str = "") -> None:
        """Show a command as one would type it."""
        shown = shlex.join(Path(word).name if word.startswith(str(self.directory)) else word for word in words)
        self.console.print(Text.assemble(("$ ", "dim"), (program, "bold"), f" {shown} {ending}".rstrip()))

    def show_line(self, line: str) -> None:
        """Show a line that a program said; what does not fit is cut off."""
        self.console.print(Text(f"  {line}"), overflow="ellipsis", no_wrap=True)

    def show_signal(self, number: signal.Signals, process_id: int) -> None:
        """Show a signal that is sent."""
        name = "9" if number == signal.SIGKILL else number.name.removeprefix("SIG")
        self.console.print(Text.assemble((f"  kill -{name} ", "bold red"), f"process {process_id}"))

    def show_bytes(self, label: str, live_bytes: int, dead_bytes: int, full_bytes: int) -> None:
        """Draw live and dead bytes to scale.

        Args:
            label: which they are.
            live_bytes: drawn solid.
            dead_bytes: drawn dotted, behind them.
            full_bytes: as many as fill the whole width.
        """
        live = round(BAR_WIDTH * live_bytes / full_bytes)
        dead = round(BAR_WIDTH * dead_bytes / full_bytes)
        parts = (f"  {label:<7}", ("█" * live, "green"), ("░" * dead, "red"), " " * (BAR_WIDTH - live - dead))
        told = f"  {live_bytes / 1e6:4.1f} MB live, {dead_bytes / 1e6:4.1f} MB dead"
        self.console.print(Text.assemble(*parts, told))

    def claim(self, is_true: Callable[[], bool] | bool, text: str) -> None:
        """Claim something, and check it.

        Raises:
            ClaimError: it is not so.
        """
        if not (is_true() if callable(is_true) else is_true):
            self.fail(text)
        self.console.print(Text.assemble(("✓ ", "bold green"), text))

    def fail(self, text: str) -> NoReturn:
        """End the tour: something is not as it should be."""
        self.console.print(Text.assemble(("✗ ", "bold red"), text))
        raise ClaimError(f"the tour found this to be untrue: {text}")

    def close_with(self, text: Text) -> None:
        """Show the last word in a frame."""
        self.console.print()
        self.console.print(Panel(text, border_style="cyan", width=min(78, self.console.width)))
