"""Options: what a form or a machine cannot do is an error that lists what it can."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import builder
from builder.build_one import make
from builder.candidate import Candidate
from builder.optimization import OptimizationConfig
from builder.optimization_check import _PER_FORM, impossible
from pixelis.errors import BuildError
from pixelis.machine import Gpu, Machine
from tests.builder.tiny_torch import tiny_spec

WEIGHTS: dict[str, object] = {"format": "openvino", "precision": "int8", "quantization": "weights"}
CPU = Machine("CPU", frozenset({"avx512_bf16", "avx512_vnni"}), 2, 4096, (), ())


def _refusal(machine: Machine = CPU, **form: object) -> str:
    error = impossible(Candidate.model_validate(form), machine)
    return str(error) if error else ""


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"format": "onnx", "optimization": {"compile_mode": "max-autotune"}}, "compile_mode has no meaning for onnx"),
        ({"format": "onnx", "optimization": {"group_size": 64}}, "It knows graph_level"),
        ({"format": "torchscript", "optimization": {"graph_level": "basic"}}, "It knows attention, autocast"),
        (
            {"format": "torchscript", "optimization": {"compile_mode": "max-autotune"}},
            "TorchScript is interpreted.* Here compile_mode is default.",
        ),
        (
            {"format": "torchscript", "optimization": {"compile_mode": "reduce-overhead"}},
            "a CPU does not have.* Here compile_mode is default.",
        ),
        ({"format": "aotinductor", "optimization": {"graph_level": "basic"}}, "graph_level has no meaning"),
        (
            {"format": "aotinductor", "precision": "bf16", "optimization": {"autocast": "bf16"}},
            "autocast has no meaning for aotinductor-bf16",
        ),
        (
            {"format": "files", "precision": "none", "optimization": {"attention": "flash", "per_channel": False}},
            "attention, per_channel have no meaning for files. It knows no option",
        ),
        (
            {"format": "aotinductor", "optimization": {"compile_mode": "reduce-overhead"}},
            "CUDA graphs.* Here compile_mode is default, max-autotune",
        ),
        ({"format": "aotinductor", "optimization": {"backend": "cudagraphs"}}, "no artifact.*Here backend is inductor"),
        ({"format": "aotinductor", "optimization": {"backend": "openvino"}}, "for OpenVINO build the format openvino"),
        (
            {"format": "torchscript", "optimization": {"attention": "memory-efficient"}},
            "CUDA alone.* Here attention is auto, eager, math, flash",
        ),
        ({"format": "torchscript", "optimization": {"autocast": "fp16"}}, r"no fp16 .* Here autocast is none, bf16"),
        ({"format": "aotinductor", "precision": "int8", "quantization": "dynamic"}, "is built as fp32, fp16, bf16"),
        (WEIGHTS | {"optimization": {"autocast": "fp16"}}, "fp16 is not of the format. Here autocast is none, bf16"),
        ({"format": "openvino", "optimization": {"autocast": "bf16"}}, "autocast has no meaning for openvino-fp32"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(form: dict[str, object], words: str) -> None:
    assert re.search(words, _refusal(**form))


@pytest.mark.parametrize("kind", ["flash", "memory-efficient"])
def test_on_a_gpu_pytorch_chooses_among_its_kernels(kind: str) -> None:
    machine = replace(CPU, gpus=(Gpu("GPU", "9.0", 81920, "580"),))
    told = _refusal(machine, format="torchscript", optimization={"device": "cuda", "attention": kind})
    assert "Here attention is auto, eager, math." in told


@pytest.mark.parametrize("form", [{"format": "torchscript"}, WEIGHTS])
def test_an_older_cpu_has_no_autocast_to_bf16(form: dict[str, object]) -> None:
    old = replace(CPU, features=frozenset({"avx2"}))
    cast = {**form, "optimization": {"autocast": "bf16"}}
    assert "Here autocast is none." in _refusal(old, **cast)
    assert not _refusal(CPU, **cast)


@pytest.mark.parametrize(("level", "fine"), [("basic", False), ("disabled", False), ("extended", True), ("all", True)])
def test_a_level_that_cuts_sums_of_integers_is_refused(level: str, fine: bool) -> None:
    old = replace(CPU, features=frozenset({"avx2"}))
    form = {"format": "onnx", "precision": "int8", "quantization": "dynamic", "optimization": {"graph_level": level}}
    assert fine is not ("Here graph_level is extended, all." in _refusal(old, **form))
    assert not _refusal(CPU, **form)


def test_the_default_of_every_option_is_fine_everywhere() -> None:
    for form in ("onnx", "openvino", "torchscript", "aotinductor", "tensorrt", "coreml"):
        assert not _refusal(format=form)


def test_every_option_that_is_said_to_be_used_is_read_by_that_format_s_code() -> None:
    here = Path(builder.__file__).parent
    prefixes = {"torchscript": ("torchscript", "torch_"), "aotinductor": ("aotinductor", "torch_")}
    for form, by_precision in _PER_FORM.items():
        files = [path for prefix in prefixes.get(form, (form,)) for path in (here / "formats").glob(f"{prefix}*.py")]
        code = "".join(path.read_text() for path in files)
        for option in set().union(*by_precision.values()) - {"backend"}:  # it has one value, and is held to it
            assert option in OptimizationConfig.model_fields
            assert re.search(rf"\.{option}\b", code), f"{form} does not read {option}"


def test_a_build_refuses_before_it_exports(tmp_path: Path) -> None:
    candidate = Candidate(format="torchscript", optimization=OptimizationConfig(attention="memory-efficient"))
    with pytest.raises(BuildError, match="CUDA alone"):
        make(tiny_spec(candidate), tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())
