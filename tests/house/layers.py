"""The rule of the house: a module imports only modules on earlier lines of stages/course.toml."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FACE: Final = "kvs/__init__.py"
"""Names everything the package offers, and imports it on first use: the one file that may look up."""


def module_order(root: Path) -> list[str]:
    """Return the modules of the course in their order, as paths."""
    course = tomllib.loads((root / "stages/course.toml").read_text())
    return [module for stage in course["stage"] for module in stage["modules"]]


def violations(root: Path) -> list[str]:
    """Return each breach of the rule in the package below `root` as one line."""
    order = module_order(root)
    there = sorted(str(path.relative_to(root)) for path in (root / "kvs").rglob("*.py"))
    found = [f"{name}: not listed in stages/course.toml" for name in there if name not in order]
    found += [f"{name}: listed, and not there" for name in order if name not in there]
    found += [f"{name}: listed more than once" for name in sorted(set(order)) if order.count(name) > 1]
    for name in there:
        if name not in order:
            continue
        tree = ast.parse((root / name).read_text(), name)
        if name.endswith("__init__.py") and name != FACE and len(tree.body) != 1:
            found.append(f"{name}: a room's __init__.py holds its docstring only")
        for line, wanted in imports(tree):
            target = _file_of(wanted, there)
            if wanted.startswith("."):
                found.append(f"{name}:{line}: a relative import")
            elif target in order and order.index(target) >= order.index(name) and name != FACE:
                found.append(f"{name}:{line}: imports {target}, which is read later")
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every import in a module, wherever it stands: line and full name; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant))


def _file_of(module: str, there: list[str]) -> str | None:
    """Return the file that an import of this name reads, or None if it is none of ours."""
    while module:
        path = module.replace(".", "/")
        for name in (f"{path}.py", f"{path}/__init__.py"):
            if name in there:
                return name
        module = module.rpartition(".")[0]
    return None
