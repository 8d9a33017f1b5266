"""What a failing test adds to the report: the task, the sentence checked, what was done, how to repeat it."""

import inspect
import os
import shlex
import tomllib
from functools import cache
from typing import Final

import pytest

from support.contract import Case
from support.target import ROOT, Target

TRANSCRIPT: Final = pytest.StashKey[list[str]]()
"""Where a test's commands and their answers are kept, line by line."""


def explain(item: pytest.Item, target: Target, seed: int) -> str:
    """Return the lines for the report of a failed test."""
    lines = [*_task(item), *_sentence(item), *_transcript(item), f"again    {again(item, target, seed)}"]
    return "\n".join(lines)


def again(item: pytest.Item, target: Target, seed: int) -> str:
    """Return the command that runs just this test again, with the same seed."""
    start = item.config.invocation_params.dir
    _, _, name = item.nodeid.partition("::")
    words = ["pytest", f"{os.path.relpath(item.path, start)}::{name}", f"--seed={seed}"]
    if not target.is_package:
        words.append(f"--cmd={shlex.join(target.command)}")
    elif not target.is_reference:
        words += [f"--impl={target.directory}", "--no-gate"]
    return shlex.join(words)


def _task(item: pytest.Item) -> list[str]:
    marker = item.get_closest_marker("task")
    if marker is None:
        return []
    number = str(marker.args[0])
    return [f"task     {number} {task_titles().get(number, '')}".rstrip()]


def _sentence(item: pytest.Item) -> list[str]:
    parameters = getattr(item, "callspec", None)
    checks = [case.check for case in parameters.params.values() if isinstance(case, Case)] if parameters else []
    docstring = inspect.getdoc(getattr(item, "function", None)) or ""
    return _column("checked", checks or docstring.splitlines())


def _transcript(item: pytest.Item) -> list[str]:
    lines = item.stash.get(TRANSCRIPT, [])
    return _column("done", lines) if lines else []


def _column(head: str, lines: list[str]) -> list[str]:
    """Set lines beside a head of nine columns."""
    return [f"{head if number == 0 else '':<9}{line}".rstrip() for number, line in enumerate(lines)]


@cache
def task_titles() -> dict[str, str]:
    """Return the title of every task that the course's table of contents names."""
    course = ROOT / "stages" / "course.toml"
    if not course.is_file():
        return {}
    stages = tomllib.loads(course.read_text(encoding="utf-8")).get("stage", [])
    tasks = [task for stage in stages if isinstance(stage, dict) for task in stage.get("task", [])]
    return {str(task["number"]): str(task["title"]) for task in tasks if {"number", "title"} <= set(task)}
