"""The tour's stage: what is said, shown and claimed on the terminal; a claim that is not true ends the tour."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from kvs.errors import KvsError

DEADLINE_S = 300


class ClaimError(KvsError):
    """Something that the tour said turned out not to be true: a bug in kvs, or a machine in trouble."""


@dataclass(slots=True)
class Stage:
    """The terminal, and a directory to play in.

    Args:
        console: where everything is shown.
        directory: an empty directory that is the tour's own, gone when it ends.
    """

    console: Console
    directory: Path

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
        self.show_command(words)
        done = subprocess.run(  # noqa: S603  # our own command line
            self.command(words), capture_output=True, check=False, timeout=DEADLINE_S
        )
        if done.returncode:
            self.fail(f"kvs {words[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
        answer = done.stdout.decode()
        lines = answer.splitlines()
        for line in lines[:shows]:
            self.console.print(Text(f"  {line}"), overflow="ellipsis", no_wrap=True)
        if len(lines) > shows:
            self.console.print(Text(f"  … {len(lines) - shows:,} more lines", style="dim"))
        return answer

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the whole command line, of this very Python and this very store."""
        return [sys.executable, "-m", "kvs", *words, "--dir", str(self.store)]

    def show_command(self, words: Sequence[str], redirection: str = "") -> None:
        """Show a command as one would type it."""
        shown = shlex.join(Path(word).name if word.startswith(str(self.directory)) else word for word in words)
        self.console.print(Text.assemble(("$ ", "dim"), ("kvs ", "bold"), f"{shown} {redirection}"))

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
