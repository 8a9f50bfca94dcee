"""The options of `pixelis build`, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.candidate import FORMATS, PRECISIONS

Models = Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")]
These = Annotated[str, typer.Option("--models", metavar="NAMES", help="`all`, or names with commas between.")]
Formats = Annotated[
    str, typer.Option(metavar="NAMES", help=f"Build candidates into the cache: `all`, or of {', '.join(FORMATS)}.")
]
Precisions = Annotated[
    str, typer.Option(metavar="NAMES", help=f"Only these candidates: `all`, or of {', '.join(PRECISIONS)}.")
]
Measure = Annotated[bool, typer.Option("--measure", help="Time the candidates against the original.")]
Publish = Annotated[
    str, typer.Option(metavar="LABEL", help="Publish one model in this form, from now on: `openvino-fp32`.")
]
Default = Annotated[
    bool, typer.Option("--default", help="Back to the spec's form, whatever was chosen or rolled back to.")
]
Optimize = Annotated[
    str, typer.Option(metavar="GOAL", help="Publish what is best: latency, throughput, memory or size.")
]
Preset = Annotated[
    str, typer.Option(metavar="NAME", help="Which forms, and which goal: development, gpu, cpu or edge.")
]
Drop = Annotated[float | None, typer.Option(min=0, max=1, help="What a task may lose for it; 0.01 is a point.")]
Output = Annotated[
    Path | None, typer.Option(metavar="DIR", help="With --optimize or --preset: a folder that runs without Triton.")
]
OnDevice = Annotated[
    str, typer.Option(metavar="NAME", help="Only forms that are worth it on auto, cpu or cuda; default: all.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, metavar="N", help="How many are built at the same time.")]
Segmenter = Annotated[
    str,
    typer.Option(
        metavar="DIR",
        help="Serve SEGMENT_OBJECT_AT by the encoder and decoder in DIR (SAM's ONNX exports); `none`: not.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Hugging Face directory of Qwen2.5-VL or Qwen3-VL; default: PIXELIS_CHECKPOINT, or the nano.",
    ),
]
Name = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="With --checkpoint: publish it beside the default one, as `policy.NAME` and `vision_encoder.NAME`.",
    ),
]
Adapter = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="With --checkpoint: a LoRA adapter (PEFT directory) that is merged into it first."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="With --checkpoint or --policy-runtime vllm: check it, print the plan (disk, memory, time), and stop.",
    ),
]
PolicyRuntime = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Who decodes the policy: `pixelis`, or `vllm` in Triton's vLLM backend, with --target ngc; default: as "
        "the repository has it.",
    ),
]
TensorParallel = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="With vllm: GPUs that share every layer; default 1.")
]
PipelineParallel = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="With vllm: groups of GPUs with some layers each; default 1.")
]
GpuMemory = Annotated[
    float | None,
    typer.Option(
        "--gpu-memory-utilization",
        metavar="SHARE",
        help="With vllm: of a GPU's memory, weights and cache together; default 0.9.",
    ),
]
MaxModelLen = Annotated[
    int | None,
    typer.Option(min=2, metavar="TOKENS", help="With vllm: of prompt and continuation; default: 32768 at most."),
]
CheckpointAt = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="With vllm: where the server sees the checkpoint; default: where it is now."),
]
Force = Annotated[bool, typer.Option("--force", help="Make again what is up to date; ends a rollback's hold.")]

EXAMPLES = """
Examples:

pixelis build

pixelis build embed_image ocr_detect --force

pixelis build --jobs 2

pixelis build --models all --formats all --jobs 2

pixelis build dynamics --formats onnx,openvino --precisions fp32,int8 --measure

pixelis build --device auto

pixelis build dynamics --publish openvino-fp32

pixelis build dynamics --default

pixelis build --optimize latency --max-accuracy-drop 0.01

pixelis build --preset cpu

pixelis build vision_encoder policy --preset edge --output bundle

pixelis build --checkpoint ~/Qwen2.5-VL-7B-Instruct --dry-run

pixelis build --checkpoint ~/Qwen2.5-VL-7B-Instruct --formats onnx --precisions int4

pixelis build --checkpoint ~/Qwen2.5-VL-7B-Instruct --name qwen-7b

pixelis build --segmenter ~/mobile-sam

pixelis build --segmenter none

pixelis build --target ngc --repository /srv/models

pixelis build --policy-runtime vllm --tensor-parallel 4 --target ngc --repository /srv/models --checkpoint DIR
"""
