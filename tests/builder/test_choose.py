"""The best that is right and runs here is chosen, and everything else is told why it was not."""

from __future__ import annotations

import pytest

from builder.choosing.choose import Choice, Goal, Row, choose, figure, pareto_front
from builder.choosing.presets import PRESETS, check_preset
from pixelis.errors import SetupError
from pixelis.machine import this_machine
from tests.builder.costs import cost, row

ROWS = [
    row("onnx-fp32", ms=8, mib=30, size=2000, batch_8_ms=30),
    row("onnx-int8-dynamic", 0.004, ms=4, mib=12, size=600, batch_8_ms=25),
    row("openvino-int8-static", 0.008, ms=3, mib=25, size=700, batch_8_ms=24),
    row("onnx-int4", 0.05, ms=2, mib=8, size=300, batch_8_ms=16),
]


@pytest.mark.parametrize(
    ("goal", "chosen"),
    [
        ("latency", "openvino-int8-static"),
        ("throughput", "openvino-int8-static"),
        ("memory", "onnx-int8-dynamic"),
        ("size", "onnx-int8-dynamic"),
    ],
)
def test_the_best_that_keeps_its_accuracy(goal: Goal, chosen: str) -> None:
    choice = choose(ROWS, goal, 0.01)
    assert choice.chosen == chosen, choice
    assert "5.00 points" in choice.thrown_out["onnx-int4"]
    assert choice.why.startswith(("3.33 times", "2.67 times", "12.0 MiB", "0.0 MiB"))


def test_more_may_be_lost_where_it_is_allowed() -> None:
    assert choose(ROWS, "latency", 0.05).chosen == "onnx-int4"
    assert choose(ROWS, "latency", 0.0).chosen == "onnx-fp32"


def test_a_form_without_a_task_is_judged_by_its_gate_alone() -> None:
    assert choose([ROWS[0], row("onnx-fp16", None, ms=2)], "latency", 0.0).chosen == "onnx-fp16"


def test_what_is_as_fast_goes_to_the_more_accurate() -> None:
    close = [row("a", 0.009, ms=4.00), row("b", 0.0, ms=4.05)]
    choice = choose(close, "latency")
    assert choice.chosen == "b"
    assert "within 2 % of a, and more accurate; accuracy +0.00 points" in choice.why


def test_refused_unexecuted_and_unmeasured_forms_are_never_chosen() -> None:
    others = [
        Row(model="alpha", candidate="onnx-int4", state="refused", reason="SCORES: cosine 0.5 < 0.97"),
        Row(model="alpha", candidate="tensorrt-fp16", state="not executed", reason="there is no GPU here"),
        row("openvino-fp32", ms=1, memory=None),
    ]
    choice = choose([ROWS[0], *others], "memory")
    assert choice.chosen == "onnx-fp32"
    assert choice.thrown_out == {
        "onnx-int4": "refused: SCORES: cosine 0.5 < 0.97",
        "tensorrt-fp16": "not executed: there is no GPU here",
        "openvino-fp32": "its memory was not measured",
    }
    assert choose(others[:2], "memory") == Choice(
        model="alpha",
        goal="memory",
        chosen=None,
        why="no form passed its gate, keeps the accuracy that is asked for, and runs here",
        thrown_out={name: choice.thrown_out[name] for name in ("onnx-int4", "tensorrt-fp16")},
    )


def test_the_front_is_what_nothing_beats() -> None:
    beaten = row("torchscript-fp32", ms=9, mib=39)
    assert pareto_front([*ROWS, beaten]) == ["onnx-fp32", "onnx-int8-dynamic", "openvino-int8-static", "onnx-int4"]


def test_figures_are_relative_to_the_original() -> None:
    one = cost("x", ms=5, mib=10, batch_8_ms=20)
    assert figure(one, "latency") == pytest.approx(0.5)
    assert figure(one, "throughput") == pytest.approx(100 / 400)
    assert one.memory_saved == pytest.approx(0.75)
    assert one.weights_saved == pytest.approx(0.5)
    assert one.process_memory_saved == pytest.approx(1 - 110 / 140)


def test_one_model_at_a_time() -> None:
    with pytest.raises(ValueError, match="one model"):
        choose([], "latency")


def test_presets_are_told_apart() -> None:
    assert list(PRESETS) == ["development", "cpu", "gpu", "edge"]
    assert [name for name, preset in PRESETS.items() if preset.bundle] == ["edge"]
    assert PRESETS["development"].precisions == ("fp32", "none")


def test_nothing_is_chosen_for_a_gpu_where_there_is_none() -> None:
    check_preset(PRESETS["cpu"])
    if not this_machine().gpus:
        with pytest.raises(SetupError, match="no NVIDIA GPU"):
            check_preset(PRESETS["gpu"])
