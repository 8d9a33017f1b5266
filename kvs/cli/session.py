"""A session of the repl: one engine, and a line at a time."""

from collections.abc import Callable
from typing import Final

from kvs.cli.directory import held_interrupts
from kvs.cli.table import put_figures, stats_figures
from kvs.cli.text import InputError, put_line, show
from kvs.cli.words import split_words
from kvs.engine import Engine
from kvs.errors import KeyNotFoundError

HELP: Final = {
    "set": "set KEY VALUE            store a value under a key",
    "get": "get KEY                  print the value of a key",
    "rm": "rm KEY                   remove a key and its value",
    "scan": "scan [PREFIX [LIMIT]]    print keys and values in key order",
    "len": "len                      print how many keys there are",
    "stats": "stats                    print the store's figures",
    "compact": "compact                  give back the bytes of replaced and removed values",
    "help": "help                     print this",
    "exit": "exit, quit, Ctrl-D       end the session",
}
NOTE: Final = r'Words may be quoted: set "snow man" "\xe2\x98\x83\n"'


class Session:
    """Carries out the lines of a repl on one engine. It prints the results; errors are raised.

    Args:
        store: the engine; whoever opened it closes it.
    """

    def __init__(self, store: Engine) -> None:
        self._store = store
        self.is_over = False
        self._commands: dict[str, Callable[..., None]] = {
            "set": self._set,
            "get": self._get,
            "rm": self._rm,
            "scan": self._scan,
            "len": self._len,
            "stats": self._stats,
            "compact": self._compact,
            "help": self._help,
            "exit": self._exit,
            "quit": self._exit,
        }
        self._arity = {"set": (2, 2), "get": (1, 1), "rm": (1, 1), "scan": (0, 2)}

    def names(self) -> list[str]:
        """Return the names of the commands."""
        return list(self._commands)

    def run(self, line: bytes) -> None:
        """Carry out one line; a blank one, or one that begins with #, does nothing.

        Raises:
            InputError: the line is no command with its words.
            KvsError: the engine refused.
        """
        if line.lstrip().startswith(b"#"):
            return
        words = split_words(line)
        if not words:
            return
        name = show(words[0])
        if name not in self._commands:
            raise InputError(f"no command is called {name!r}; help lists them")
        least, most = self._arity.get(name, (0, 0))
        if not least <= len(words) - 1 <= most:
            raise InputError(f"usage: {HELP['exit' if name == 'quit' else name].split('  ')[0]}")
        self._commands[name](*words[1:])

    def _set(self, key: bytes, value: bytes) -> None:
        with held_interrupts():
            self._store.set(key, value)

    def _get(self, key: bytes) -> None:
        value = self._store.get(key)
        put_line(b"Key not found" if value is None else _shown(value))

    def _rm(self, key: bytes) -> None:
        try:
            with held_interrupts():
                self._store.remove(key)
        except KeyNotFoundError:
            raise InputError("Key not found") from None

    def _scan(self, prefix: bytes = b"", limit: bytes = b"") -> None:
        if limit and not limit.isdigit():
            raise InputError(f"expected a number as the limit, found {show(limit)!r}")
        for key, value in self._store.scan(prefix=prefix, limit=int(limit) if limit else None):
            put_line(_shown(key) + b"\t" + _shown(value))

    def _len(self) -> None:
        put_line(str(len(self._store)).encode())

    def _stats(self) -> None:
        put_figures(stats_figures(self._store.stats()))

    def _compact(self) -> None:
        self._store.compact()

    def _help(self) -> None:
        for line in [*HELP.values(), NOTE]:
            put_line(line.encode())

    def _exit(self) -> None:
        self.is_over = True


def _shown(raw: bytes) -> bytes:
    """Return a key or value as the repl prints it; what it prints in quotes can be typed back."""
    return show(raw).encode()
