"""What of a repository is not an artifact: each model's folder, config.pbtxt and committed version 1."""

from __future__ import annotations

import shutil
from pathlib import Path

from builder.model_spec import ModelSpec
from builder.spec import Pipeline
from builder.store import SHIM, Store
from builder.triton_config import Target, config, native, text
from pixelis.errors import BuildError
from pixelis.model_name import base
from pixelis.settings import settings
from python_backends.visual_ops.pair import PAIR

HOME = Path(__file__).parents[2] / "model_repository"
"""Where the committed shims are."""
CONFIG = "config.pbtxt"
UNCOMMITTED = '''"""`{name}`, as Triton loads it. What it does is in `{path}.py`."""

from {module} import {model} as TritonPythonModel

__all__ = ["TritonPythonModel"]
'''
"""The shim of a model that only some repositories have (a segmenter, a policy in vLLM)."""
_ENGINE = "python_backends.serving.engine:Engine"


def check_waiting(known: Pipeline) -> None:
    """Hold the sum of queue delays over every path against the ceiling.

    Raises:
        BuildError: a request could wait longer than `max_wait_time_ms` for company.
    """
    ceiling = settings().batching.max_wait_time_ms
    for name in known.names:
        waiting = known.waiting_us(name) / 1000
        if waiting > ceiling:
            raise BuildError(
                f"A request to {name} can wait {waiting:g} ms in queues, the ceiling is {ceiling:g} ms.",
                mend="Lower queue_delay_us in builder/spec.py, or raise PIXELIS_BATCHING__MAX_WAIT_TIME_MS.",
            )


def check_place(repository: Path, target: Target) -> None:
    """Raises `BuildError` where configs for a full Triton image would go into the embedded server's repository."""
    if target == "ngc" and repository.absolute() == settings().repository.absolute():
        raise BuildError("The repository of the embedded server cannot hold NGC configs.", mend="Add --repository DIR.")


def shimmed(spec: ModelSpec, target: Target) -> bool:
    """Whether a model.py lies beside the artifact of `spec`, in the form that it is in."""
    return not native(spec, target)


def lay_out(store: Store, known: Pipeline, target: Target) -> list[str]:
    """Folders, shims and configs of every model; a file that is right already is not touched.

    Returns:
        The models whose config was written.

    Raises:
        BuildError: see `check_waiting`.
    """
    check_waiting(known)
    written = []
    for model in known.models:
        spec, files = as_served(store, model)
        prepare(store, spec, target)
        for name, content in spec.texts.items():
            _write(store, store.repository / spec.name / name, content)
        if _write(store, store.repository / spec.name / CONFIG, text(config(spec, target, files=files))):
            written.append(spec.name)
    return written


def as_served(store: Store, spec: ModelSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """`spec` in the form of its newest version, and that version's files; in its default form where there is none."""
    version = store.latest(spec.name) if spec.kind == "engine" else None
    if version is None:
        return spec, ()
    try:
        manifest = store.manifest(spec.name, version)
    except BuildError:
        return spec, ()  # the next build replaces what cannot be read
    return spec.as_candidate(manifest.candidate), tuple(manifest.files)


def prepare(store: Store, spec: ModelSpec, target: Target) -> None:
    """The folder of version 1 of `spec`, in the form that it is in: with a model.py where one is used, else without."""
    first = store.repository / spec.name / "1"
    first.mkdir(parents=True, exist_ok=True)
    if shimmed(spec, target):
        _write_shim(store, spec)
        return
    _write(store, first / ".gitkeep", "")  # Triton wants the folder, git keeps no empty one
    if store.repository != HOME or spec.name in PAIR or base(spec.name) != spec.name:
        (first / SHIM).unlink(missing_ok=True)  # a copy, from when it was served in another form


def _write_shim(store: Store, spec: ModelSpec) -> None:
    """Into a repository elsewhere, and for the models of a named checkpoint, from the committed one."""
    model, served = spec.name, spec.shim or (_ENGINE if spec.name in PAIR else None)
    if served is not None:
        module, _, name = served.partition(":")
        path = module.replace(".", "/")
        content = UNCOMMITTED.format(name=model, path=path, module=module, model=name)
        _write(store, store.repository / model / "1" / SHIM, content)
        return
    home, here = HOME / base(model) / "1" / SHIM, store.repository / model / "1" / SHIM
    if home == here or not home.is_file():
        return  # where neither has one, lint and publishing say so
    if not here.is_file() or home.read_bytes() != here.read_bytes():
        shutil.copyfile(home, here)


def _write(store: Store, path: Path, content: str) -> bool:
    """Replace `path` in one step if it differs; whether it did."""
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return False
    store.write(path, content)
    return True
