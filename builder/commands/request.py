"""What the command line of `pixelis build` said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.building.machine import Device
from builder.candidate import FORMATS, PRECISIONS, FormatName, parse_choice
from builder.checkpoints.account import Account
from builder.choosing.choose import Goal
from builder.choosing.presets import PresetName
from builder.pipeline import Pipeline
from builder.tolerance import Precision
from builder.triton_config import Target
from builder.vllm.options import VllmOptions


@dataclass(frozen=True)
class Request:
    """What the command line said.

    Attributes:
        names: models; none = all.
        formats, precisions: as they were typed; empty = not asked for.
        publish: label of the form to publish; empty = the one that is chosen already.
        segmenter: a folder, or `none`; empty = not asked for.
        name: what the checkpoint is called; none = it is the default one.
        spec: the pipeline; none = as the settings have it.
        vllm: how vLLM is to be started; none = the policy's own runtime decodes, or what the repository has.
        account: counts what the build takes; none where it is not asked for.
        goal, preset: none = the best form is not asked for; with one of them `max_accuracy_drop` and `output`.
    """

    names: list[str]
    formats: str = ""
    precisions: str = ""
    publish: str = ""
    default: bool = False
    force: bool = False
    measure: bool = False
    goal: Goal | None = None
    preset: PresetName | None = None
    max_accuracy_drop: float | None = None
    output: Path | None = None
    jobs: int = 1
    segmenter: str = ""
    device: Device | None = None
    repository: Path | None = None
    target: Target = "embedded"
    as_json: bool = False
    name: str | None = None
    spec: Pipeline | None = None
    account: Account | None = None
    vllm: VllmOptions | None = None

    @property
    def forms(self) -> tuple[tuple[FormatName, ...], tuple[Precision, ...]]:
        """The formats and precisions that are asked for. Raises `BuildError` on one that there is not."""
        formats, precisions = self.formats or "all", self.precisions or "all"
        return (
            parse_choice(formats, FORMATS, "format"),  # type: ignore[return-value]
            parse_choice(precisions, PRECISIONS, "precision"),
        )
