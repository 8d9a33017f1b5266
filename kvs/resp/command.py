"""Command: what the server knows of a command beside what it does: its name, its words, where its keys are.

Source: the fields are those that Redis's own COMMAND INFO reports, so that clients can be told them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from kvs.errors import KvsError
from kvs.resp.frame import array, simple

Run: TypeAlias = Callable[[Any, list[bytes]], bytes]
"""What a command does: takes the connection and the words, returns the reply's bytes."""

LONGEST_SHOWN: Final = 128
"""How much of what a client sent an error repeats, in bytes."""


class CommandError(KvsError):
    """The command cannot be carried out, and nothing was changed. The client gets the message as an error reply.

    Args:
        text: what is wrong.
        code: the word before it, by which clients tell errors apart.
    """

    def __init__(self, text: str, code: str = "ERR") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a command's keys stand among its words.

    Args:
        first: the place of the first; 0 when there are none.
        last: the place of the last, counted from the end when negative.
        step: from one to the next.
    """

    first: int = 0
    last: int = 0
    step: int = 0

    def of(self, args: Sequence[bytes]) -> Sequence[bytes]:
        """Return the keys among these words.

        >>> Keys(1, -1, 2).of([b"MSET", b"a", b"1", b"b", b"2"])
        [b'a', b'b']
        """
        if not self.first:
            return []
        end = len(args) + self.last + 1 if self.last < 0 else self.last + 1
        return args[self.first : end : self.step]


NO_KEYS: Final = Keys()
ONE_KEY: Final = Keys(1, 1, 1)
TWO_KEYS: Final = Keys(1, 2, 1)
ALL_KEYS: Final = Keys(1, -1, 1)
EVERY_SECOND: Final = Keys(1, -1, 2)


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the server.

    Args:
        name: in lower case.
        arity: how many words it takes, its name included; negative when that is the least.
        run: what it does.
        group: Redis's name for its kind: "string", "generic", "connection", "server" or "transactions".
        keys: where its keys stand.
        is_write: it changes keys.
        may_block: it can take long, so a loop does not run it in place.
        before_auth: who has not given the password may use it, too.
        at_once: within MULTI it is carried out, not queued.
        alone: within MULTI it is refused.
        usage: the words behind its name, as a person would be told: "key value [NX | XX] [GET]".
        parts: its subcommands by their names, where it is but the first word of these.
    """

    name: str
    arity: int
    run: Run
    group: str
    keys: Keys = NO_KEYS
    is_write: bool = False
    may_block: bool = False
    before_auth: bool = False
    at_once: bool = False
    alone: bool = False
    usage: str = ""
    parts: Mapping[bytes, "Command"] = field(default_factory=dict)

    def takes(self, words: int) -> bool:
        """Tell whether the command can have so many words."""
        return words == self.arity or 0 < -self.arity <= words

    def meant(self, args: Sequence[bytes]) -> "Command":
        """Return the subcommand that the second word names, or the command itself where it has none.

        Raises:
            CommandError: there is no such subcommand.
        """
        if not self.parts or len(args) < 2:
            return self
        part = self.parts.get(args[1].lower())
        if part is None:
            raise CommandError(f"unknown subcommand '{_shown(args[1][:LONGEST_SHOWN])}'. Try {self.name.upper()} HELP.")
        return part

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return (self.run.__doc__ or "").partition("\n")[0]

    @property
    def flags(self) -> list[str]:
        """Its flags, by Redis's names."""
        named = {
            "write": self.is_write,
            "readonly": self.keys.first > 0 and not self.is_write,
            "fast": not self.may_block,
            "no_auth": self.before_auth,
            "no_multi": self.alone,
        }
        return [name for name, is_set in named.items() if is_set]

    @property
    def categories(self) -> list[str]:
        """Its categories, by Redis's names."""
        of_group = {"generic": "keyspace", "server": "admin", "transactions": "transaction"}
        access = "@write" if self.is_write else "@read"
        kinds = [access] if self.keys.first or self.is_write else []
        return [*kinds, f"@{of_group.get(self.group, self.group)}", "@slow" if self.may_block else "@fast"]


def command(name: str, arity: int, group: str, **facts: Any) -> Callable[[Run], Command]:
    """Make a command of the function below; see Command for the arguments."""

    def make(run: Run) -> Command:
        return Command(name, arity, run, group, **facts)

    return make


def container(name: str, group: str, *parts: Command, bare: Run | None = None) -> Command:
    """Make a command of which the second word tells what it does; a subcommand's name is "client|id".

    Args:
        name: in lower case.
        group: as for Command.
        parts: the subcommands.
        bare: what it does without a second word; None where it needs one.
    """
    by_word = {part.name.partition("|")[2].encode(): part for part in parts}
    lines = [f"{name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for part in parts:
        lines += [f"{part.name.partition('|')[2].upper()} {part.usage}".rstrip(), f"    {part.summary}"]
    lines += ["HELP", "    Print this help."]

    @command(f"{name}|help", 2, group)
    def help_(_connection: Any, _args: list[bytes]) -> bytes:
        """Tell which subcommands there are."""
        return array([simple(line) for line in lines])

    def run(_connection: Any, _args: list[bytes]) -> bytes:
        """Do what the second word says."""
        raise wrong_arity(name)

    return Command(name, -1 if bare else -2, bare or run, group, parts=by_word | {b"help": help_})


def unknown(args: Sequence[bytes]) -> CommandError:
    """Return the error for a command that there is not, in Redis's words: clients look for them."""
    shown, size = [], 0
    for arg in args[1:]:
        if size >= LONGEST_SHOWN:
            break
        shown.append(f"'{_shown(arg[: LONGEST_SHOWN - size])}' ")
        size += len(shown[-1])
    return CommandError(
        f"unknown command '{_shown(args[0][:LONGEST_SHOWN])}', with args beginning with: {''.join(shown)}"
    )


def wrong_arity(name: str) -> CommandError:
    """Return the error for a command with too few or too many words."""
    return CommandError(f"wrong number of arguments for '{name}' command")


def _shown(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")
