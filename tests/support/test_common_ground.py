"""The suites' common ground, tested: the right package is judged, a failure explains itself, nothing hangs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.target import ROOT

SUITE = "tests/stage1/test_set_and_get.py"
FAILING = '''
import threading
import pytest

@pytest.mark.task("1.1")
def test_fails(rng):
    """The sentence that a learner reads."""
    assert rng.random() < 0

def test_error_in_a_thread():
    """An exception in any thread fails the test."""
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

@pytest.mark.timeout(1)
def test_deadlock():
    """A deadlock ends at its deadline."""
    lock = threading.Lock()
    lock.acquire()
    stuck = threading.Thread(target=lock.acquire, name="a stuck thread")
    stuck.start()
    stuck.join()
'''


def run_pytest(*words: str, directory: Path = ROOT, variables: dict[str, str] | None = None) -> tuple[int, str]:
    """Run pytest in a process of its own and return its exit code and all that it said."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("KVS_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *words],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=directory,
        env=mine | (variables or {}),
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a directory with a copy of the package."""
    shutil.copytree(ROOT / "kvs", tmp_path / "copy" / "kvs", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def test_named_package_is_the_one_tested(copy: Path) -> None:
    """--impl tests the package in that directory, the header names it, and a fault in it is found."""
    code, said = run_pytest(SUITE, f"--impl={copy}")
    assert code == 0, said
    assert f"under test: {copy / 'kvs'}" in said
    memory = copy / "kvs" / "memory.py"
    memory.write_text(memory.read_text().replace(".get(key, default)", ".get(key) or default"))
    code, said = run_pytest(SUITE, variables={"KVS_IMPL": str(copy)})
    assert code == 1
    assert "test_empty_value_is_a_value" in said


def test_other_package_than_the_named_one_is_never_tested(tmp_path: Path, copy: Path) -> None:
    """An empty directory, a namespace package and links to another package are usage errors: no test runs."""
    for name in ("empty", "namespace/kvs", "linked"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "linked" / "kvs").symlink_to(ROOT / "kvs")
    (copy / "kvs" / "memory.py").unlink()
    (copy / "kvs" / "memory.py").symlink_to(ROOT / "kvs" / "memory.py")
    for directory in (tmp_path / "empty", tmp_path / "namespace", tmp_path / "linked", copy):
        code, said = run_pytest(SUITE, f"--impl={directory}")
        assert code == pytest.ExitCode.USAGE_ERROR, said
        assert "passed" not in said


def test_rooms_of_the_reference_are_refused(copy: Path) -> None:
    """Tests of the reference alone do not run against another package."""
    code, said = run_pytest("tests/support", f"--impl={copy}")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "the reference alone" in said


def test_gate_is_closed_until_the_stage_before_is_passed(copy: Path) -> None:
    """Stage 2 is not looked at while stage 1 is not passed by the same tree; the message names test and way on."""
    memory = copy / "kvs" / "memory.py"
    memory.write_text(memory.read_text().replace(".get(key, default)", ".get(key) or default"))
    code, said = run_pytest("tests/stage2/test_records.py", f"--impl={copy}")
    assert code == 1
    assert "stage 1 is not passed" in said
    assert "test_empty_value_is_a_value" in said
    assert "--no-gate" in said
    code, said = run_pytest("tests/stage2/test_records.py", f"--impl={copy}", "--no-gate")
    assert code == 0, said


def test_command_is_tested_by_blackbox_tests_alone(tmp_path: Path) -> None:
    """--cmd tests a program in any language, found from where pytest was started, and imports no package for it."""
    program = tmp_path / "prog"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    code, said = run_pytest(str(ROOT / "tests/stage1/test_rust_course_1.py"), "--cmd=./prog", directory=tmp_path)
    assert code == 1
    assert f"under test: the command {program}" in said
    assert "9 failed, 4 deselected" in said
    assert "stdout | hello" in said


def test_failure_explains_itself_and_nothing_hangs(tmp_path: Path) -> None:
    """A report has task, sentence, seed and command; errors in threads count; a deadlock shows every stack."""
    (tmp_path / "test_failing.py").write_text(FAILING)
    words = ["-p", "conftest", str(tmp_path / "test_failing.py"), "--seed=7"]
    code, said = run_pytest(*words, variables={"PYTHONPATH": str(ROOT / "tests")})
    assert code == 1
    assert "3 failed" in said
    assert "task     1.1" in said
    assert "checked  The sentence that a learner reads." in said
    assert re.search(r"again    pytest \S*test_failing.py::test_fails --seed=7", said)
    assert "ZeroDivisionError" in said
    assert re.search(r"Stack of a stuck thread", said)
    assert re.search(r"threads still running at the end: (a stuck thread|thread \d+)\n", said)
    drawn = re.findall(r"assert (0\.\d+) < 0", said)
    _, again = run_pytest(*words, "-k", "test_fails", variables={"PYTHONPATH": str(ROOT / "tests")})
    assert re.findall(r"assert (0\.\d+) < 0", again) == drawn, "the same seed gives the same choices"
