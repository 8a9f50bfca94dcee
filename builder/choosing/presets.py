"""What to build for, as data: `--preset development|gpu|cpu|edge`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from builder.candidate import FormatName
from builder.choosing.choose import Goal
from builder.tolerance import Precision
from pixelis.errors import SetupError
from pixelis.machine import this_machine

PresetName = Literal["development", "gpu", "cpu", "edge"]
FLOATS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "none")


class Preset(BaseModel):
    """Which forms are looked at, and what is made best.

    Attributes:
        formats: that are built and measured.
        precisions: that are built and measured.
        goal: unless `--optimize` says another one.
        max_accuracy_drop: unless `--max-accuracy-drop` says another one; in points of 1.
        bundle: a standalone folder with a runner is written, nothing is published.
        needs_gpu: on a machine without one its figures would say nothing, so it is refused there.
        why: for `--help` and the report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PresetName
    formats: tuple[FormatName, ...]
    precisions: tuple[Precision, ...]
    goal: Goal
    max_accuracy_drop: float
    bundle: bool = False
    needs_gpu: bool = False
    why: str


PRESETS: dict[PresetName, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="development",
            formats=("onnx", "files"),
            precisions=("fp32", "none"),
            goal="latency",
            max_accuracy_drop=0.0,
            why="One format, full precision: builds in a minute, and answers as the original does.",
        ),
        Preset(
            name="cpu",
            formats=("onnx", "openvino", "torchscript", "aotinductor", "files"),
            precisions=("fp32", "bf16", "int8", "int4", "none"),
            goal="latency",
            max_accuracy_drop=0.01,
            why="Everything that runs on a CPU; int8 and int4 where at most a point of accuracy goes.",
        ),
        Preset(
            name="gpu",
            formats=("onnx", "tensorrt", "torchscript", "aotinductor", "files"),
            precisions=FLOATS,
            goal="throughput",
            max_accuracy_drop=0.01,
            needs_gpu=True,
            why="Half precision, where a GPU has fast units for it; plans are built here and run on their GPU.",
        ),
        Preset(
            name="edge",
            formats=("onnx", "openvino", "files"),
            precisions=("fp32", "int8", "int4", "none"),
            goal="memory",
            max_accuracy_drop=0.01,
            bundle=True,
            why="Least memory, in a folder with a runner that needs numpy and one executor, and no Triton.",
        ),
    )
}


def check_preset(preset: Preset) -> None:
    """See that this machine can say what is best for it.

    Raises:
        SetupError: it is for GPUs, and there is none.
    """
    if preset.needs_gpu and not this_machine().gpus:
        raise SetupError(
            f"There is no NVIDIA GPU here, so nothing can be measured for the preset {preset.name}.",
            mend="Run it where it will be served; `pixelis build --formats tensorrt` builds engines without a GPU.",
        )
