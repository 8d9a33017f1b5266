"""The documents tell the truth: their examples run, their tables agree with the code, their links lead somewhere."""

import ast
import doctest
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from kvs.log import header, hint, record
from kvs.net.commands.table import BY_NAME
from kvs.net.options import ServerOptions

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted((ROOT / "docs").glob("*.md"))
NAMES: Final = [path.name for path in DOCUMENTS]


def words_of(name: str) -> str:
    """Return the text of a document."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def fields_under(heading: str) -> list[tuple[str, str]]:
    """Return offset and size of each field in the table under a heading of the format document."""
    section = re.split(r"^##+ ", words_of("format.md"), flags=re.MULTILINE)
    body = next(part for part in section if part.startswith(heading))
    return re.findall(r"^\| ([0-9]\S*) \| (\S+) \|", body, flags=re.MULTILINE)


def laid_out(layout: str) -> list[tuple[str, str]]:
    """Return offset and size of each field of a struct, as a document writes them."""
    sizes = [8 if code == "8s" else {"B": 1, "H": 2, "I": 4, "Q": 8}[code] for code in re.findall(r"8s|[BHIQ]", layout)]
    return [(str(sum(sizes[:index])), str(size)) for index, size in enumerate(sizes)]


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a document shows at the `>>>` prompt is what the code does, to the byte."""
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(ROOT / "docs" / name), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 30 or name not in {"format.md", "protocol.md"}


def test_header_table_is_the_layout() -> None:
    """The table of a segment's header has the fields of the code, each at its offset and of its size."""
    assert fields_under("Header") == laid_out(header.LAYOUT.format)


def test_record_table_is_the_layout() -> None:
    """The table of a record has the fields of the code, then key, value and checksum."""
    behind = [("20", "k"), ("20+k", "v"), ("20+k+v", str(record.CHECKSUM_BYTES))]
    assert fields_under("Record") == [*laid_out(record.HEADER.format), *behind]


def test_hint_table_is_the_layout() -> None:
    """The table of a hint file has the fields of the code, then the columns."""
    assert fields_under("A hint file") == [*laid_out(hint.LAYOUT.format), ("36", "8n"), ("36+8n", "2(n+t)")]


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_named_exist(name: str) -> None:
    """Every source file and every document that a document names is there."""
    text = words_of(name)
    sources = set(re.findall(r"\bkvs/[a-z_/]+\.py\b", text))
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^):]+)\)", text)}
    missing = [path for path in sources if not (ROOT / path).is_file()]
    missing += [link for link in links if link and not (ROOT / "docs" / link).exists()]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_headings_that_are_linked_exist(name: str) -> None:
    """Every link to a heading, in this document or another, leads to one."""
    lost = []
    for link in re.findall(r"\]\(([^):]*#[^)]+)\)", words_of(name)):
        path, _, anchor = link.partition("#")
        headings = re.findall(r"^#+ (.+)$", words_of(path or name), flags=re.MULTILINE)
        if anchor not in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}:
            lost.append(link)
    assert lost == []


ROOMS: Final = ("log", "resp", "pool", "engines", "net", "lockfree")


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_has_its_place_in_the_house(room: str) -> None:
    """The drawing of the architecture document has each module of these rooms, in the order in which they are read."""
    drawing = words_of("architecture.md").split("```")[1]
    body = re.split(r"^  (?=\S)", drawing.partition(f"\n  {room}/ ")[2], maxsplit=1, flags=re.MULTILINE)[0]
    drawn = re.findall(r"^ {4}(\w+)\.py ", body, flags=re.MULTILINE)
    course = tomllib.loads((ROOT / "stages" / "course.toml").read_text(encoding="utf-8"))
    order = [Path(module) for stage in course["stage"] for module in stage["modules"]]
    assert drawn == [path.stem for path in order if path.parent == Path("kvs", room) and path.stem != "__init__"]


def test_every_room_has_its_place_in_the_house() -> None:
    """The drawing has every file and every room of kvs/, once."""
    drawing = words_of("architecture.md").split("```")[1]
    drawn = re.findall(r"^ {2}(\w+(?:\.py|/)) ", drawing, flags=re.MULTILINE)
    there = [path for path in (ROOT / "kvs").iterdir() if not path.name.startswith("_") and path.suffix in {"", ".py"}]
    assert sorted(drawn) == sorted(path.name + "/" * path.is_dir() for path in there)


def facts_of_commands() -> Iterator[tuple[str, str]]:
    """Yield the words and the summary of every command and subcommand, save HELP, which all containers have."""
    for each in BY_NAME.values():
        parts = [part for word, part in each.parts.items() if word != b"help"]
        if not parts or each.takes(1):
            yield f"{each.name.upper()} {each.usage}".strip(), each.summary
        for part in parts:
            yield f"{part.name.upper().replace('|', ' ')} {part.usage}".strip(), part.summary


def test_the_table_of_commands_is_the_server_s() -> None:
    """The protocol document lists every command of the server once, with its words and its meaning there."""
    section = words_of("protocol.md").partition("\n## Commands\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z].*?)` \| (.*) \|$", section, flags=re.MULTILINE)
    assert sorted((words.replace("\\|", "|"), summary) for words, summary in rows) == sorted(facts_of_commands())


def test_the_error_codes_are_the_server_s() -> None:
    """The protocol document lists every code that an error reply of the server can have, and no other."""
    section = words_of("protocol.md").partition("\n## Errors\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([A-Z]+)` \|", section, flags=re.MULTILINE))
    raised = {"ERR"}
    for path in (ROOT / "kvs" / "net").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"CommandError", "frame.error"}:
                raised |= {str(each.value) for each in node.args[1:] if isinstance(each, ast.Constant)}
    assert told == raised


def test_what_a_stranger_may_say_is_the_server_s() -> None:
    """The protocol document names the commands that are open to who has not given the password, and no others."""
    sentence = words_of("protocol.md").partition("Before that it may say")[2].partition("and no command")[0]
    told = re.findall(r"`([A-Z]+)`", sentence)
    assert sorted(told) == sorted(name.upper() for name, each in BY_NAME.items() if each.before_auth)


UNITS: Final = {"": 1, "bytes": 1, "s": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def test_the_limits_are_the_server_s() -> None:
    """Each limit that the protocol document tells is the value of the constant or the option that stands beside it."""
    section = words_of("protocol.md").partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .+ \| ([\d,]+) ?(\w*)[^|]* \| `([\w.]+)` \|", section, flags=re.MULTILINE)
    told = {name: int(number.replace(",", "")) * UNITS[unit] for number, unit, name in rows}
    assert len(told) == section.count("\n| ") - 1
    options = {name for name in ServerOptions.__slots__ if name != "password"}
    assert {name for name in told if "." not in name} == options
    assert told == {name: limit_named(name) for name in told}


def limit_named(name: str) -> Any:
    """Return the value of a constant by its full name, or the default of a server's option."""
    module, _, constant = name.rpartition(".")
    return getattr(import_module(module), constant) if module else getattr(ServerOptions(), constant)


def test_each_term_is_defined_once() -> None:
    """The glossary defines no term twice, and lists them in alphabetical order."""
    terms = re.findall(r"^\*\*(.+?)\*\*", words_of("glossary.md"), flags=re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(set(terms), key=str.lower)
