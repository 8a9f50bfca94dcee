"""config.pbtxt says what the spec says, in Triton's own schema."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.model_spec import ModelSpec, TensorSpec
from builder.spec import pipeline
from builder.triton_config import QUEUE_POLICIES, config, parse, text
from pixelis.errors import BuildError
from pixelis.settings import Batching, Settings

KNOWN = pipeline()

tensors = st.builds(
    TensorSpec,
    name=st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True),
    dtype=st.sampled_from(["BYTES", "BOOL", "UINT8", "INT32", "INT64", "FP16", "FP32"]),
    dims=st.lists(st.sampled_from([-1, 1, 3, 224]), min_size=1, max_size=4).map(tuple),
    optional=st.booleans(),
    ragged=st.booleans(),
)
specs = st.builds(
    ModelSpec,
    name=st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    kind=st.just("python"),
    inputs=st.lists(tensors, max_size=3, unique_by=lambda t: t.name).map(tuple),
    outputs=st.lists(tensors, max_size=3, unique_by=lambda t: t.name).map(tuple),
    max_batch_size=st.integers(1, 64),
    queue_delay_us=st.integers(0, 5000),
    instances=st.integers(1, 4),
    decoupled=st.booleans(),
    parameters=st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=8), max_size=2),
)


@given(specs)
def test_the_text_is_read_back_as_what_was_meant(spec: ModelSpec) -> None:
    made = config(spec)
    assert parse(text(made)) == made
    assert f"max_queue_delay_microseconds: {spec.queue_delay_us}" in text(made)


@pytest.mark.parametrize("spec", KNOWN.models, ids=lambda spec: spec.name)
@pytest.mark.parametrize("target", ["embedded", "ngc"])
def test_every_model(spec: ModelSpec, target: str) -> None:
    printed = text(config(spec, target))  # type: ignore[arg-type]
    made = parse(printed)
    assert made.name == spec.name
    assert made.version_policy.latest.num_versions == 1
    assert not any(policy in printed for policy in QUEUE_POLICIES)
    assert ("dynamic_batching {\n  max_queue_delay_microseconds:" in printed) == spec.batchable
    assert made.max_batch_size == spec.max_batch_size
    assert made.model_transaction_policy.decoupled == spec.decoupled
    engine = target == "ngc" and spec.kind == "engine"
    assert made.platform == ("ensemble" if spec.kind == "ensemble" else "onnxruntime_onnx" if engine else "")
    if not engine and spec.kind != "ensemble":
        assert made.backend == "python"
        (group,) = made.instance_group
        assert (group.count, group.Kind.Name(group.kind)) == (spec.instances, "KIND_CPU")


def test_the_batch_size_is_a_setting() -> None:
    known = pipeline(Settings(batching=Batching(max_batch_size=16)))
    assert config(known["embed_image"]).max_batch_size == 16
    assert config(known["knn"]).max_batch_size == 64


def test_what_is_no_config() -> None:
    with pytest.raises(BuildError, match="is not a Triton configuration"):
        parse("name: {")
