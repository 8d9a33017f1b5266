"""The module order is the import order, and the test that says so notices each way around it."""

import shutil
from pathlib import Path

import pytest
from house.layers import module_order, violations

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a copy of the package and its order, to plant faults in."""
    shutil.copytree(ROOT / "kvs", tmp_path / "kvs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    return tmp_path


def plant(house: Path, module: str, line: str) -> None:
    """Add a line to the end of a module."""
    with (house / module).open("a") as file:
        file.write(f"\n{line}\n")


def test_every_module_imports_only_earlier_ones():
    """Every module is listed once in stages/course.toml and imports only modules on earlier lines."""
    assert violations(ROOT) == []


def test_stages_are_cut_where_nothing_looks_up():
    """The face apart, no module of a stage needs a later stage: so a stage can be built and tested alone."""
    order = module_order(ROOT)
    assert order.index("kvs/memory.py") < order.index("kvs/log/record.py") < order.index("kvs/log/store.py")


@pytest.mark.parametrize(
    ("fault", "module", "line", "complaint"),
    [
        ("upward", "kvs/log/record.py", "from kvs.log.store import LogEngine", "imports kvs/log/store.py"),
        ("upward by name", "kvs/memory.py", "import kvs.log.files", "imports kvs/log/files.py"),
        ("lazy", "kvs/log/keydir.py", "def f():\n    from kvs.log import recovery", "imports kvs/log/recovery.py"),
        ("for types", "kvs/errors.py", "if TYPE_CHECKING:\n    from kvs.engine import Engine", "imports kvs/engine.py"),
        ("by string", "kvs/engine.py", 'import_module("kvs.log.store")', "imports kvs/log/store.py"),
        ("of the face", "kvs/engine.py", "from kvs import open", "imports kvs/__init__.py"),
        ("relative", "kvs/log/store.py", "from . import record", "a relative import"),
        ("code in a room's face", "kvs/log/__init__.py", "x = 1", "holds its docstring only"),
    ],
)
def test_a_planted_fault_is_noticed(house: Path, fault: str, module: str, line: str, complaint: str):
    """An import that goes around the order, in whatever way, is named with its file and line."""
    plant(house, module, line)
    found = violations(house)
    assert len(found) == 1, (fault, found)
    assert found[0].startswith(module)
    assert complaint in found[0]


def test_an_unlisted_module_is_noticed(house: Path):
    """A module that stages/course.toml does not list is named."""
    (house / "kvs/log/secret.py").write_text('"""Nobody reads this."""\n')
    assert violations(house) == ["kvs/log/secret.py: not listed in stages/course.toml"]


def test_a_listed_module_that_is_gone_is_noticed(house: Path):
    """A module that is listed and not there is named; so is one that is listed twice."""
    course = house / "stages/course.toml"
    course.write_text(course.read_text().replace('"kvs/errors.py",', '"kvs/errors.py", "kvs/errors.py",', 1))
    (house / "kvs/keyorder.py").unlink()
    found = violations(house)
    assert "kvs/keyorder.py: listed, and not there" in found
    assert "kvs/errors.py: listed more than once" in found
