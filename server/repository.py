"""The model repository as the server sees it: its models, the version of each that is served, what is not built."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelis.errors import NotFound, SetupError
from pixelis.json_text import reason
from pixelis.model_name import base
from pixelis.published import MANIFEST

ARTIFACT = "artifact"
"""Parameter of config.pbtxt that names a file which the served version must have; code alone has none."""

CALLS = "calls"
"""Parameter of config.pbtxt that names, with commas between, the models that a model calls by BLS."""


_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
"""Of a model; what else a config may call is no folder beside it."""
LOAD, ON_DEMAND = "load", "on demand"
"""Parameter of config.pbtxt: the model is not loaded when a server starts, but when it is asked for (`residency`)."""


@dataclass(frozen=True)
class Model:
    """One folder of the repository.

    Attributes:
        name: of the model.
        folder: `<repository>/<name>`.
        config: the parsed `ModelConfig` protobuf.
    """

    name: str
    folder: Path
    config: Any

    @property
    def versions(self) -> list[int]:
        """Numeric version folders, oldest first."""
        return sorted(int(path.name) for path in self.folder.iterdir() if path.is_dir() and path.name.isdecimal())

    @property
    def version(self) -> int | None:
        """The version that `latest(1)` serves."""
        return self.versions[-1] if self.versions else None

    @property
    def stubs(self) -> int:
        """Python-backend processes that it starts."""
        if self.config.backend != "python":
            return 0
        counts = [int(group.count) for group in self.config.instance_group]
        return max(1, sum(max(1, count) for count in counts))

    @property
    def on_demand(self) -> bool:
        """Whether a server starts without it."""
        return LOAD in self.config.parameters and self.config.parameters[LOAD].string_value == ON_DEMAND

    @property
    def children(self) -> list[str]:
        """Models that it calls: an ensemble's steps, and what it says that it calls by BLS."""
        steps = {str(step.model_name) for step in self.config.ensemble_scheduling.step}
        called = self.config.parameters[CALLS].string_value if CALLS in self.config.parameters else ""
        return sorted(filter(_NAME.fullmatch, steps | set(called.split(","))))

    @property
    def built(self) -> bool:
        """Whether what it serves is made by `pixelis build`, and so has a manifest."""
        return ARTIFACT in self.config.parameters and self.config.parameters[ARTIFACT].string_value == MANIFEST

    @property
    def unbuilt(self) -> str | None:
        """Why it cannot be served before `pixelis build`; None when it can."""
        if self.version is None and self.config.platform != "ensemble":
            return "no version folder"
        if ARTIFACT not in self.config.parameters:
            return None
        artifact = self.config.parameters[ARTIFACT].string_value
        if (self.folder / str(self.version) / artifact).exists():
            return None
        return f"no {artifact} in version {self.version}"


def scan(repository: Path, names: Sequence[str] | None = None) -> list[Model]:
    """The models of a repository, by name.

    Args:
        repository: folder with one folder a model.
        names: which; None means every folder with a config.pbtxt.

    Raises:
        SetupError: no such folder, no model in it, or a config that does not parse.
        NotFound: a name that the repository does not have.
    """
    if not repository.is_dir():
        mend = "Name it with --repository or PIXELIS_REPOSITORY, or run this in the project's folder."
        raise SetupError(f"There is no model repository at {repository}.", mend=mend)
    known = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    if not known:
        raise SetupError(f"{repository} has no model with a config.pbtxt.", mend="Run `pixelis build`.")
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise NotFound(f"No model {', '.join(unknown)} in {repository}.", mend=f"Known models: {', '.join(known)}.")
    return [_model(repository / name) for name in known if names is None or name in names]


def closure(repository: Path, names: Sequence[str] | None = None) -> list[Model]:
    """What a server starts with: as `scan`, with the models that the named ones call, without their helpers they would
    do without; of all models, those that are not loaded on demand alone.
    """
    found = {model.name: model for model in scan(repository, names) if names is not None or not model.on_demand}
    wanted = {child for model in found.values() for child in model.children} - found.keys()
    while present := [name for name in sorted(wanted) if (repository / name / "config.pbtxt").is_file()]:
        found.update({model.name: model for model in scan(repository, present)})
        wanted = {child for name in present for child in found[name].children} - found.keys()
    return [found[name] for name in sorted(found)]


def ancestors(models: Sequence[Model], name: str) -> list[str]:
    """Models that call `name`, directly or through others; the nearest first."""
    found: list[str] = []
    level = {name}
    while level:
        called = level | {base(one) for one in level}  # who calls `policy` calls `policy.NAME`
        level = {model.name for model in models if called & set(model.children)} - {name, *found}
        found += sorted(level)
    return found


def _model(folder: Path) -> Model:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    path = folder / "config.pbtxt"
    config = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (OSError, UnicodeDecodeError, RecursionError, text_format.ParseError) as error:
        mend = "`pixelis lint` checks it and `pixelis build` writes it again."
        raise SetupError(f"{path} is not a Triton model config: {reason(error).rstrip('.')}.", mend=mend) from None
    return Model(folder.name, folder, config)


def require_built(models: Sequence[Model]) -> None:
    """Raises `SetupError` naming every model whose artifact is missing."""
    reason = unbuilt(models)
    if reason is not None:
        raise SetupError(f"The model repository is not built: {reason}.", mend="Run `pixelis build`.")


def unbuilt(models: Sequence[Model]) -> str | None:
    """Which of the models are not built and why; models with the same reason are named together."""
    names: dict[str, list[str]] = {}
    for model in models:
        if model.unbuilt:
            names.setdefault(model.unbuilt, []).append(model.name)
    return "; ".join(f"{', '.join(named)}: {reason}" for reason, named in names.items()) or None
