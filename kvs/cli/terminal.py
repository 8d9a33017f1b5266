"""Lines from a person at a terminal: a prompt, editing, history, and completion of command names."""
# ruff: noqa: PLC0415  # readline only when somebody sits there

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

PROMPT: Final = "kvs> "
MAX_HISTORY_LINES: Final = 1_000


@contextmanager
def line_editing(names: list[str]) -> Iterator[None]:
    """Give `input` history and completion while the block runs. Without readline it goes on without them.

    Args:
        names: what the tab key completes at the beginning of a line.
    """
    try:
        import readline
    except ImportError:  # some builds of Python have none
        yield
        return

    def complete(text: str, state: int) -> str | None:
        is_first = not readline.get_line_buffer()[: readline.get_begidx()].strip()
        fitting = [f"{name} " for name in names if name.startswith(text)] if is_first else []
        return fitting[state] if state < len(fitting) else None

    readline.set_completer(complete)
    is_libedit = "libedit" in (readline.__doc__ or "")  # as on macOS
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    readline.set_history_length(MAX_HISTORY_LINES)
    path = history_path()
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with suppress(OSError):  # a history that cannot be kept is no reason to fail
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # values are nobody else's business
            readline.write_history_file(path)


def history_path() -> str:
    """Return where the history is kept: $KVS_HISTORY, or a file under the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join("~", ".local", "state")
    return os.path.abspath(os.path.expanduser(os.environ.get("KVS_HISTORY") or os.path.join(state, "kvs", "history")))


def ask(prompt: str = PROMPT) -> bytes | None:
    """Return the next line that the person types, or None at Ctrl-D.

    Args:
        prompt: what stands before it.

    Raises:
        KeyboardInterrupt: Ctrl-C, which is to clear the line.
    """
    try:
        return os.fsencode(input(prompt))
    except EOFError:
        return None
