"""The command line's contract, stages/contract.toml, as cases for parametrised tests."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from support.cli import Cli
from support.target import ROOT

CONTRACT: Final = ROOT / "stages" / "contract.toml"


@dataclass(frozen=True, slots=True)
class Case:
    """One example of the contract.

    Args:
        check: the sentence that is true when it passes.
        argv: the words after `kvs`.
        stdin: what the command can read.
        exact: what a stream has to say, by the stream's name.
        parts: what a stream has to contain.
        exit_code: what the command has to exit with.
    """

    check: str
    argv: tuple[str, ...]
    stdin: bytes
    exact: dict[str, bytes]
    parts: dict[str, bytes]
    exit_code: int

    def run(self, cli: Cli) -> None:
        """Run the command and check what it says and how it ends."""
        __tracebackhide__ = True
        outcome = cli(*self.argv, stdin=self.stdin)
        outcome.expect(stdout=self.exact.get("stdout"), stderr=self.exact.get("stderr"), exit_code=self.exit_code)
        for stream, part in self.parts.items():
            assert part in getattr(outcome, stream), f"{stream} does not contain {part.decode()!r}. {self.check}"


def cases(stage: int) -> list[Any]:
    """Return the cases of the commands that a learner builds in this stage, as pytest parameters with their tasks."""
    return [_parameter(command, case) for command, case in _examples() if command["stage"] == stage]


def _examples() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Walk the commands of the course with each of their cases."""
    contract = tomllib.loads(CONTRACT.read_text(encoding="utf-8"))
    for command in contract["command"]:
        for case in command.get("case", []):
            yield command, case


def _parameter(command: dict[str, Any], case: dict[str, Any]) -> Any:
    streams = ("stdout", "stderr")
    made = Case(
        check=case["check"],
        argv=tuple(case["argv"]),
        stdin=case.get("stdin", "").encode(),
        exact={name: case[name].encode() for name in streams if name in case},
        parts={name: case[f"{name}_has"].encode() for name in streams if f"{name}_has" in case},
        exit_code=case["exit"],
    )
    name = f"{command['name'].strip('-') or 'kvs'}-{case['name']}"
    return pytest.param(made, id=name, marks=pytest.mark.task(case.get("task", command["task"])))
