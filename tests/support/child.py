"""Child processes that import the package under test, and report line by line."""

import sys

from support.session import Session
from support.target import Target


def start_program(target: Target, program: str, *words: object) -> Session:
    """Start a Python program that imports the package under test.

    Args:
        target: what is under test.
        program: the program's source.
        words: its arguments.
    """
    return Session([sys.executable, "-P", "-c", program, *map(str, words)], target.environment(), None, [])


def run_program(target: Target, program: str, *words: object) -> list[str]:
    """Run a program to its successful end and return the lines that it printed."""
    with start_program(target, program, *words) as child:
        lines = [line.decode() for line in child.read_lines()]
        assert child.wait() == 0, "the child failed; its traceback is on stderr"
    return lines
