"""Which code a source is made of: its own module, and the modules of this package that it imports, directly or not.

Imports are read, not run, so that those inside functions count and nothing heavy is loaded.
"""

from __future__ import annotations

import ast
import threading
from pathlib import Path

PACKAGE = "builder.sources"
HERE = Path(__file__).parent
_PARSING = threading.Lock()
"""Jobs digest side by side, and Python 3.11's parser is not for two threads: it raises SystemError now and then."""


def code_files(start: Path) -> list[Path]:
    """`start` and every module of `builder.sources` that it reaches, sorted by name."""
    found: dict[Path, None] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            waiting.extend(_imported(path))
    return sorted(found, key=lambda path: path.name)


def _imported(path: Path) -> list[Path]:
    files = []
    with _PARSING:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            files += [HERE / f"{alias.name}.py" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            folder = HERE.joinpath(*(node.module or "").removeprefix(f"{PACKAGE}.").split("."))
            files += [folder.with_suffix(".py"), *(folder / f"{alias.name}.py" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}.")]
            files += [HERE.joinpath(*name.removeprefix(f"{PACKAGE}.").split(".")).with_suffix(".py") for name in names]
    return [file for file in files if file.is_file()]
