"""The documents tell the truth: their examples run, their tables agree with the code, their links lead somewhere."""

import ast
import doctest
import re
from pathlib import Path
from typing import Final

import pytest

from kvs.log import header, hint, record

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
    assert result.attempted > 40 or name != "format.md"


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


def test_every_module_of_the_log_has_its_place_in_the_house() -> None:
    """The architecture document names each module of the log, and in its drawing in an order of imports that works."""
    drawing = words_of("architecture.md").split("```")[1]
    drawn = re.findall(r"^ +([a-z]+)\.py ", drawing.partition("log/")[2].partition("\n\n")[0], flags=re.MULTILINE)
    there = {path.stem for path in (ROOT / "kvs" / "log").glob("*.py")} - {"__init__"}
    assert sorted(drawn) == sorted(there)
    for place, module in enumerate(drawn):
        assert imported_from_log(module) <= set(drawn[:place]), f"{module} imports what stands after it"


def imported_from_log(module: str) -> set[str]:
    """Return the modules of the log that one of them imports."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "kvs" / "log" / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "kvs.log":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kvs.log."):
            found.add(node.module.removeprefix("kvs.log."))
    return found


def test_each_term_is_defined_once() -> None:
    """The glossary defines no term twice, and lists them in alphabetical order."""
    terms = re.findall(r"^\*\*(.+?)\*\*", words_of("glossary.md"), flags=re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(set(terms), key=str.lower)
