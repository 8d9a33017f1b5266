"""The suites and the course agree: tasks have tests, tests have tasks, and each test says what it checks."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def collected() -> list[dict[str, Any]]:
    """Return what the tests of the stages say of themselves."""
    suites = [f"tests/stage{stage['number']}" for stage in course() if stage.get("task")]
    command = [sys.executable, str(Path(__file__).with_name("collected.py")), *suites]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=50)
    tests: list[dict[str, Any]] = json.loads(done.stdout)
    return tests


def course() -> list[dict[str, Any]]:
    """Return the stages of stages/course.toml."""
    stages: list[dict[str, Any]] = tomllib.loads((ROOT / "stages/course.toml").read_text())["stage"]
    return stages


def tasks() -> list[dict[str, Any]]:
    """Return the tasks of all stages."""
    return [task for stage in course() for task in stage.get("task", [])]


def test_every_test_has_its_task(collected: list[dict[str, Any]]):
    """Every test of a stage's suite belongs to exactly one task of stages/course.toml, of its own stage."""
    known = {task["number"] for task in tasks()}
    for test in collected:
        stage = test["name"].removeprefix("tests/stage")[0]
        assert len(test["tasks"]) == 1, test["name"]
        assert test["tasks"][0] in known, test["name"]
        assert test["tasks"][0].startswith(stage), test["name"]


def test_every_task_has_required_tests(collected: list[dict[str, Any]]):
    """Every task has tests that decide it, extensions apart."""
    decided = {test["tasks"][0] for test in collected if not test["is_extension"]}
    assert {task["number"] for task in tasks()} <= decided


def test_every_task_says_what_where_and_how_long():
    """Every task has a title, a sentence, files that are in the module order, and 20 to 40 minutes."""
    stages = course()
    for stage in stages:
        for task in stage.get("task", []):
            assert task["title"], task
            assert task["able_to"], task
            assert 20 <= task["minutes"] <= 40, task
            for file in task["files"]:
                assert any(file in each["modules"] for each in stages[: stage["number"]]), (task, file)


def test_every_test_says_what_it_checks():
    """Every test function in the tree has a docstring: the sentence that one reads when it fails."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []
