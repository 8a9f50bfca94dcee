"""A folder that runs models without Triton: artifacts, manifests, a runner, and the engine code that judged them.

run.py  README.md  requirements.txt  bundle.json
lib/            the engine's own modules, and what they import of ours
models/<name>/  the artifact, manifest.json, sample.npz (a request and its answer, for `run.py --check`)
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from builder.choosing import bundle_run
from builder.costing.runner import Inputs, executor
from builder.costing.workload import MEASURED
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.store import Store
from pixelis.errors import BuildError, NotFound
from python_backends.engine import ENGINES
from python_backends.policy.executors import EXECUTORS

OURS = ("pixelis", "python_backends")
DECODER = ("python_backends.policy.executors", "python_backends.policy.positions")
STEPS = 4
"""Tokens of the policy that `run.py --check` holds against each other."""


class Bundled(BaseModel):
    """One model of a bundle; tensors as `NAME DTYPE[dims]`."""

    model_config = ConfigDict(extra="forbid")

    model: str
    kind: str
    candidate: str
    executor: str
    digest: str
    size_bytes: int
    inputs: list[str]
    outputs: list[str]


class Bundle(BaseModel):
    """`bundle.json`. `requirements` are the versions that the models were judged with."""

    model_config = ConfigDict(extra="forbid")

    made_at: float
    models: list[Bundled]
    requirements: dict[str, str]


def write_bundle(store: Store, known: Pipeline, keys: Mapping[str, str], output: Path) -> Bundle:
    """Write the cached artifacts `keys` (model -> key) into the folder `output`.

    Raises:
        BuildError: `output` has content, or a model has no forward pass.
        NotFound: an artifact is not in the cache.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BuildError(f"{output} is there already.", mend="Name a new folder, or an empty one.")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-bundle-", dir=output.parent) as scratch:
        staged = Path(scratch) / "bundle"
        entries = [_model(store, known[name], key, staged / "models" / name) for name, key in keys.items()]
        modules = [name for entry in entries for name in _modules(entry.kind, staged / "models" / entry.model)]
        _copy_code(modules, staged / "lib")
        shutil.copyfile(bundle_run.__file__, staged / "run.py")
        used = sorted({"numpy", "pydantic-core", *(entry.executor for entry in entries)})
        bundle = Bundle(
            made_at=round(time.time(), 3), models=entries, requirements={name: version(name) for name in used}
        )
        (staged / "bundle.json").write_text(bundle.model_dump_json(indent=2) + "\n", encoding="utf-8")
        lines = [f"{name}=={found}\n" for name, found in bundle.requirements.items()]
        (staged / "requirements.txt").write_text("".join(lines), encoding="utf-8")
        (staged / "README.md").write_text(_readme(bundle), encoding="utf-8")
        if output.is_dir():
            output.rmdir()
        os.rename(staged, output)
    return bundle


def _model(store: Store, spec: ModelSpec, key: str, folder: Path) -> Bundled:
    if spec.kind not in MEASURED:
        raise BuildError(f"{spec.name} has no forward pass, so a bundle cannot run it.", mend="Leave it out.")
    manifest = store.cached(key)
    if manifest is None:
        raise NotFound(f"The build cache has no artifact {key[:12]} for {spec.name}.", mend="Run `pixelis build`.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(store.builds / key, folder)
    given, answered = _answered(spec, folder)
    named = {f"in.{name}": array for name, array in given.items()}
    named |= {f"out.{name}": array for name, array in answered.items()}
    np.savez_compressed(folder / "sample.npz", **named)
    return Bundled(
        model=spec.name,
        kind=spec.kind,
        candidate=manifest.candidate.label,
        executor=executor(folder),
        digest=manifest.digest,
        size_bytes=manifest.size_bytes,
        inputs=_tensors(given),
        outputs=_tensors(answered),
    )


def _answered(spec: ModelSpec, folder: Path) -> tuple[Inputs, Inputs]:
    """A request, and what the artifact answers to it."""
    from builder.costing.workload import policy_cases
    from python_backends.engine import load_engine

    source = spec.open_source()
    if spec.kind == "policy":
        prompt = policy_cases(spec, source)[0].inputs["PROMPT"][0]
        asked: Inputs = {"PROMPT_IDS": prompt[:32]}
        return asked, bundle_run.decode(folder, asked, 1, STEPS)
    sample = source.samples()[0]
    with load_engine(folder, 1) as engine:
        return sample, engine.run(sample)


def _tensors(arrays: Inputs) -> list[str]:
    return [f"{name} {array.dtype.name}{list(array.shape)}" for name, array in arrays.items()]


def _modules(kind: str, folder: Path) -> tuple[str, ...]:
    """What runs the artifact; which of the executors is chosen by name when it is opened."""
    known, room = (EXECUTORS, DECODER[0]) if kind == "policy" else (ENGINES, "python_backends.engine")
    for file, (module, _) in known.items():
        if (folder / file).is_file():
            return (f"{room}.{module}", *(DECODER if kind == "policy" else ()))
    raise NotFound(f"Nothing runs what is in {folder.name}.", mend=f"There are {', '.join(ENGINES)}.")


def _copy_code(modules: list[str], lib: Path) -> None:
    """`modules` and everything of ours that they import, with their packages."""
    waiting, done = [*modules, "python_backends.engine"], set[str]()
    while waiting:
        name = waiting.pop()
        parents = [name.rpartition(".")[0]] if "." in name else []
        waiting += [parent for parent in parents if parent not in done]
        if name in done:
            continue
        done.add(name)
        path = _file(name)
        target = lib.joinpath(*name.split(".")[:-1], path.name) if path.name != "__init__.py" else lib / _folder(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        waiting += [one for one in _imports(path) if one not in done]


def _folder(name: str) -> Path:
    return Path(*name.split("."), "__init__.py")


def _file(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise BuildError(f"The module {name} has no file, so it cannot be bundled.")
    return Path(found.origin)


def _imports(path: Path) -> Iterator[str]:
    """Modules of ours that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            yield node.module
            yield from (child for alias in node.names if _is_module(child := f"{node.module}.{alias.name}"))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in OURS)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent is a module, not a package: a name in it
        return False


def _readme(bundle: Bundle) -> str:
    models = "\n".join(
        f"- `{one.model}` as {one.candidate} ({one.executor}, {one.size_bytes / 2**20:.1f} MiB): "
        f"{', '.join(one.inputs)} → {', '.join(one.outputs)}"
        for one in bundle.models
    )
    return f"""# Models to run where there is no server

{models}

Shapes are of the recorded sample; the first axis is the batch. Each model's `manifest.json` says what it was made of,
what its gate measured and what it costs.

```
pip install -r requirements.txt
python run.py             # what is here
python run.py --check     # every model against the answer that was recorded when the bundle was made
python run.py --help
```
"""
