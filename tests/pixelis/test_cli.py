from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pixelis import cli
from pixelis.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pixelis", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_command_and_imports_no_room() -> None:
    code = "import sys; from pixelis import cli; sys.argv[1:] = ['--help']\ntry: cli.main()\nexcept SystemExit: pass\n"
    code += "print([name for name in sys.modules if name.split('.')[0] in cli.ROOMS[1:]], 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.strip().endswith("[] False")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_where_the_table_says(name: str) -> None:
    entry = COMMANDS[name]
    for module in entry.modules:
        assert isinstance(importlib.import_module(module).app, typer.Typer)
    command = cli._load(name, entry)
    assert command.name == name
    assert command.help


def test_a_failure_is_one_line_with_its_mend_and_exit_1(tmp_path: Path) -> None:
    done = run("serve", "--repository", str(tmp_path / "absent"))
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: There is no model repository")
    assert "--repository" in last
    assert "Traceback" not in done.stderr


def test_a_failure_as_json(tmp_path: Path) -> None:
    done = run("serve", "--repository", str(tmp_path / "absent"), "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert sorted(said) == ["code", "error", "mend"]
    assert said["code"] == "setup"


@pytest.mark.parametrize("arguments", [("serv",), ("serve", "--nonsense"), ("serve", "--http-port", "x"), ()])
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_missing_package_names_the_extra() -> None:
    error = cli._missing(ModuleNotFoundError("No module named 'torch'", name="torch"), "build")
    assert "pixelis-serving[build]" in str(error)
    with pytest.raises(ModuleNotFoundError):
        cli._missing(ModuleNotFoundError("No module named 'server.x'", name="server.x"), "serve")


def test_version() -> None:
    assert run("--version").stdout.startswith("pixelis ")
