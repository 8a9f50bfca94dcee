"""The house itself: links resolve, shims are thin, the Makefile says what it can do."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_docs_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_docs_exist(page: Path) -> None:
    from pixelis.cli import COMMANDS

    used = set(re.findall(r"`pixelis ([a-z]+)[ `]", page.read_text()))
    assert used <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_the_docs_name_exist(page: Path) -> None:
    named = re.findall(r"`?\b(tests/[\w/]+(?:\.\w+)?)(?:::(\w+))?", page.read_text())
    missing = [path for path, _ in named if not (ROOT / path).exists()]
    missing += [name for path, name in named if name and f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_shims_are_thin_and_name_a_class() -> None:
    shims = sorted((ROOT / "model_repository").glob("*/1/model.py"))
    assert shims
    for shim in shims:
        text = shim.read_text()
        assert text.count("\n") <= 40, shim
        assert "TritonPythonModel" in text, shim


def test_make_help_lists_every_target() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "setup-dev", "demo", "test", "serve", "help", "lint"):
        assert re.search(rf"^{target}\s", said, re.MULTILINE)


def test_text_files_are_read_as_utf_8() -> None:
    """Whatever the locale is: Triton's Python processes often have none, and read ASCII."""
    bare = []
    for room in ("builder", "clients", "pixelis", "python_backends", "server"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                named = {keyword.arg for keyword in node.keywords}
                wanted = {"read_text": 0, "write_text": 1}.get(node.func.attr)
                if wanted == len(node.args) and "encoding" not in named:
                    bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert bare == []
