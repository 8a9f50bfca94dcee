"""The pipeline as data is the public contract, and keeps what the design promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from builder.checkpoint_view import NANO, read_view
from builder.model_spec import Call, ModelSpec, Step, TensorSpec
from builder.spec import Pipeline, pipeline
from builder.storing.layout import check_waiting
from pixelis.errors import BuildError, NotFound
from pixelis.settings import Settings

PUBLIC = {
    "pixelis": (
        "IMAGE BYTES[-1], QUESTION BYTES[1], OPTIONS BYTES[1]",
        "ANSWER BYTES[1], CONFIDENCE FP32[1], RESULT BYTES[1]",
    ),
    "agent": ("IMAGE BYTES[-1], QUESTION BYTES[1], OPTIONS BYTES[1]", "EVENT BYTES[1]"),
    "visual_ops": ("IMAGE BYTES[-1], OPERATION BYTES[1]", "RESULT BYTES[1]"),
    "knn": ("KEY FP32[-1], K INT32[1], COMMAND BYTES[1]", "IDS BYTES[-1], SCORES FP32[-1], RESULT BYTES[1]"),
    "reward": ("TRAJECTORY BYTES[1]", "RESULT BYTES[1]"),
    "vote": ("BALLOT BYTES[1]", "RESULT BYTES[1]"),
    "embed_image": ("IMAGE UINT8[224, 224, 3]", "EMBEDDING FP32[1280], FEATURES FP32[14, 14, 384]"),
    "dynamics": ("STATE FP32[1664], ACTION FP32[16]", "NEXT_STATE FP32[1664]"),
}


def describe(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{tensor.name} {tensor.dtype}{list(tensor.dims)}" for tensor in tensors)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_contract(name: str) -> None:
    spec = pipeline()[name]
    assert (describe(spec.inputs), describe(spec.outputs)) == PUBLIC[name]


def test_variable_inputs_of_batchable_models_are_ragged_or_bucketed() -> None:
    for spec in pipeline().models:
        for tensor in spec.inputs if spec.batchable else ():
            assert -1 not in tensor.dims or tensor.ragged or tensor.name in spec.buckets, (spec.name, tensor.name)


def test_an_idle_path_waits_for_nobody() -> None:
    known = pipeline()
    assert {name: known.waiting_us(name) for name in known.names} == dict.fromkeys(known.names, 0)


def model(name: str, delay: int, **more: object) -> ModelSpec:
    text = TensorSpec(name="X", dtype="BYTES", dims=(1,))
    fields = {"kind": "python", "max_batch_size": 8, "queue_delay_us": delay, "inputs": (text,), "outputs": (text,)}
    return ModelSpec(name=name, **{**fields, **more})  # type: ignore[arg-type]


def test_waiting_is_summed_along_the_longest_path() -> None:
    steps = (
        Step(model="a", inputs=("X",), outputs=("A",)),
        Step(model="b", inputs=("A",), outputs=("B",)),
        Step(model="c", inputs=("A",), outputs=("C",)),
        Step(model="d", inputs=("B", "C"), outputs=("X",)),
    )
    calls = (Call(model="leaf", times=3),)
    known = Pipeline(
        models=(
            model("a", 1000),
            model("b", 2000, calls=calls),
            model("c", 7000),
            model("d", 500),
            model("leaf", 4000),
            model("e", 0, kind="ensemble", steps=steps),
        )
    )
    assert known.waiting_us("b") == 2000 + 3 * 4000
    assert known.waiting_us("e") == 1000 + 14000 + 500


def test_more_waiting_than_the_ceiling_is_not_built() -> None:
    with pytest.raises(BuildError, match=r"can wait 60 ms in queues, the ceiling is 50 ms"):
        check_waiting(Pipeline(models=(model("a", 60_000),)))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "knn", "instances": 2}, "exactly one"),
        ({"kind": "engine"}, "needs a source"),
        ({"kind": "ensemble"}, "has steps"),
        ({"max_batch_size": 0, "queue_delay_us": 5}, "only a batchable model"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_a_spec_that_makes_no_sense(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        model("a", 0, **fields) if "queue_delay_us" not in fields else ModelSpec(
            **{**model("a", 0).model_dump(), **fields}  # type: ignore[arg-type]
        )


def test_children_exist_and_names_are_unique() -> None:
    with pytest.raises(ValidationError, match="do not exist"):
        Pipeline(models=(model("a", 0, calls=(Call(model="nobody"),)),))
    with pytest.raises(ValidationError, match="occurs twice"):
        Pipeline(models=(model("a", 0), model("a", 0)))
    with pytest.raises(NotFound, match="There are"):
        pipeline()["nobody"]


def test_the_pipeline_survives_json() -> None:
    assert Pipeline.model_validate_json(pipeline().model_dump_json()) == pipeline()


def test_a_checkpoint_shapes_the_vision_tensors(tmp_path: Path) -> None:
    assert read_view(None) == NANO
    vision = {"patch_size": 14, "spatial_merge_size": 2, "out_hidden_size": 64}
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": vision}))
    (tmp_path / "pixelis.json").write_text(json.dumps({"view": [224, 112]}))
    spec = pipeline(Settings(checkpoint=tmp_path))["vision_encoder"]
    assert (spec.inputs[0].dims, spec.outputs[0].dims) == ((112, 224, 3), (32, 64))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BuildError, match="is not a Qwen2"):
        read_view(tmp_path)


def test_the_nano_is_what_the_constant_says() -> None:
    checkpoint = Path(__file__).parents[2] / "builder" / "nano" / "checkpoint"
    if not (checkpoint / "config.json").is_file():
        pytest.skip("the nano is not trained here")
    assert read_view(checkpoint) == NANO
