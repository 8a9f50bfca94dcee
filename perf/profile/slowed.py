"""A repository in which one model sleeps, to see whether a profile finds it."""

from __future__ import annotations

from pathlib import Path

from perf.repositories import linked, replaced, republished
from pixelis.errors import SetupError
from python_backends.artifacts import latest

IMPORTED = " as TritonPythonModel"
LATE = '''"""{model}, with a sleep in it."""

import time

{imported}

SECONDS = {seconds}
METHOD = "serve" if hasattr(Served, "serve") else "one" if hasattr(Served, "one") else "answer"


def late(model, *given):
    time.sleep(SECONDS)
    return getattr(Served, METHOD)(model, *given)


def late_in_its_own_thread(model):
    Served.setup(model)
    roll = model._runtime._scheduler._roll
    enqueue = roll.enqueue

    def slowly(sequence):
        time.sleep(SECONDS)
        enqueue(sequence)

    roll.enqueue = slowly


changed = {{"setup": late_in_its_own_thread}} if METHOD == "serve" else {{METHOD: late}}
TritonPythonModel = type("TritonPythonModel", (Served,), changed)
'''


def slowed(repository: Path, model: str, seconds: float, to: Path) -> Path:
    """A repository at `to` with the files of `repository`, but that `model` sleeps `seconds` at each call of it.

    Raises:
        NotFound: there is no such model.
        SetupError: it is not one that Python serves.
    """
    script = linked(repository, to) / latest(repository, model).relative_to(repository) / "model.py"
    lines = script.read_text(encoding="utf-8").splitlines() if script.exists() else []
    imported = [line for line in lines if line.endswith(IMPORTED)]
    if len(imported) != 1:
        raise SetupError(f"{model} is no model that Python serves.", mend="Name another one.")
    replaced(script, LATE.format(model=model, imported=imported[0].replace(IMPORTED, " as Served"), seconds=seconds))
    republished(script.parent)
    return to
