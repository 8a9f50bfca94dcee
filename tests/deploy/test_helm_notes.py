"""What is printed after an installation."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import CASES, CHART, NAMED, helm, kind, words


@pytest.mark.parametrize("case", CASES)
def test_the_next_commands_are_about_what_is_there(case: str, tmp_path: Path) -> None:
    notes = printed(case, tmp_path)
    names = {f"{one}/{found['metadata']['name']}" for one in ("Deployment", "Service") for found in kind(case, one)}
    asked = set(re.findall(r"(?:deployment|service)/[a-z-]+", notes))
    assert asked
    assert {name.capitalize() for name in asked} <= names
    assert re.findall(r"^(\d)\. ", notes, re.MULTILINE) == ["1", "2", "3"]
    assert "helm --namespace serving test pixelis\n" in notes
    assert ("Authorization" in notes) is (case != "open")
    assert ("https://ask.example.org/infer" in notes) is (case == "front")


def printed(case: str, folder: Path) -> str:
    """The notes; Helm prints them for a cluster alone, so they are rendered as a template of a copy."""
    copy = folder / "pixelis"
    shutil.copytree(CHART, copy)
    templates = copy / "templates"
    notes = (templates / "NOTES.txt").read_text(encoding="utf-8")
    (templates / "NOTES.txt").unlink()
    (templates / "_notes.tpl").write_text(f'{{{{ define "notes" }}}}{notes}{{{{ end }}}}', encoding="utf-8")
    (templates / "notes.yaml").write_text('text: |\n  {{- include "notes" . | nindent 2 }}\n', encoding="utf-8")
    file, values = CASES[case]
    command = [helm(), "template", "pixelis", str(copy), "--values", str(copy / file), "--namespace", "serving"]
    command += [*words(NAMED | values), "--show-only", "templates/notes.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(yaml.safe_load(done.stdout)["text"])
