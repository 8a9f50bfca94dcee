"""`1/model.py`: short, and the name of a class that exists."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from builder.rules.base import Finding, Rule, Subject, error
from builder.store import SHIM

LINES = 40
CLASS = "TritonPythonModel"
MEND = f"Write it as `from python_backends.<module> import <Class> as {CLASS}`."


def shims(subject: Subject) -> Iterator[Finding]:
    """Every Python model has a shim; it is code to be read in one look, and what it names is there."""
    for spec in subject.known.models:
        path = subject.store.repository / spec.name / "1" / SHIM
        if subject.native(spec):
            if path.exists():
                yield error(spec.name, "shim", f"It runs without Python and has a {SHIM}.", f"Remove {path}.")
            continue
        if not path.is_file():
            yield error(spec.name, "shim", f"1/{SHIM} is missing.", f"{MEND} It is committed: `git checkout {path}`.")
            continue
        for message in _faults(path):
            yield error(spec.name, "shim", message, MEND)


def _faults(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > LINES:
        yield f"1/{SHIM} has {lines} lines, at most {LINES} are allowed: logic belongs into python_backends."
    try:
        tree = ast.parse(text)
    except SyntaxError as problem:
        yield f"1/{SHIM} is not Python: {problem.msg} (line {problem.lineno})."
        return
    if CLASS not in _names(tree):
        yield f"1/{SHIM} names no {CLASS}."
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("python_backends"):
            yield from _import(node.module, [alias.name for alias in node.names])


def _import(module: str, names: list[str]) -> Iterator[str]:
    """What is imported exists; read, not run: the adapter imports only inside Triton."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        yield f"1/{SHIM} imports {module}, which does not exist."
        return
    defined = _names(ast.parse(Path(found.origin).read_text(encoding="utf-8")))
    for name in names:
        if name not in defined and importlib.util.find_spec(module).submodule_search_locations is None:  # type: ignore[union-attr]
            yield f"1/{SHIM} imports {name} from {module}, which has no such name."


def _names(tree: ast.Module) -> set[str]:
    """Names that a module binds at its top level."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(target.id for target in targets if isinstance(target, ast.Name))
    return found


RULES: tuple[Rule, ...] = (shims,)
