"""Whether a sibling's process lives, with real processes in the stubs' place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from python_backends.siblings import Siblings


def stub(folder: Path, model: str) -> subprocess.Popen[bytes]:
    """A process that looks like the stub of `model`."""
    script = folder / model / "1" / "model.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text("import time; print('up', flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_model_is_lost_when_all_its_processes_are_gone(tmp_path: Path) -> None:
    first, second, other = stub(tmp_path, "policy"), stub(tmp_path, "policy"), stub(tmp_path, "knn")
    try:
        siblings = Siblings(parent=os.getpid())
        lost, never_there = siblings.watch("policy"), siblings.watch("nobody")
        assert not lost()
        first.kill()
        time.sleep(0.1)  # it stays a zombie: nobody has waited for it
        assert not lost()
        second.kill()
        time.sleep(0.1)
        assert lost()
        assert not siblings.watch("knn")()
        assert not never_there()
    finally:
        for process in (first, second, other):
            process.kill()
            process.wait()


def test_other_servers_models_do_not_count(tmp_path: Path) -> None:
    process = stub(tmp_path, "policy")
    try:
        lost = Siblings(parent=1).watch("policy")
        process.kill()
        time.sleep(0.1)
        assert not lost()
    finally:
        process.wait()
