"""What Triton is told, word for word, for both targets; a change of it is a change that somebody reads."""

from __future__ import annotations

import pytest

from builder.candidate import Candidate
from builder.ngc import NATIVE, WARM_ELEMENTS, profile
from builder.spec import pipeline
from builder.triton_config import QUEUE_POLICIES, config, parse, text
from pixelis.errors import BuildError
from tests.builder.golden import FORMS, HERE, golden, values

GOLDEN = dict(golden())
KNOWN = pipeline(values())
ENGINES = [spec for spec in KNOWN.models if spec.kind == "engine"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_config_is_the_committed_one(path: object) -> None:
    assert path.read_text() == GOLDEN[path], "read the difference, then `python -m tests.builder.golden`"  # type: ignore[attr-defined,index]


def test_nothing_else_is_committed() -> None:
    assert set(HERE.rglob("*.pbtxt")) == GOLDEN.keys()


@pytest.mark.parametrize("path", sorted((HERE / "ngc").glob("*.pbtxt")), ids=lambda path: path.stem)
def test_a_full_image_gets_a_config_of_the_protobuf(path: object) -> None:
    printed = path.read_text()  # type: ignore[attr-defined]
    made = parse(printed)
    assert text(made) == printed, "every field is known to the schema, and in its order"
    assert made.backend or made.platform == "ensemble"
    assert not any(policy in printed for policy in QUEUE_POLICIES)


@pytest.mark.parametrize("spec", ENGINES, ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", FORMS)
def test_every_format_has_its_backend_and_its_warm_up(spec: object, name: str) -> None:
    backends = {"onnx": "onnxruntime", "openvino": "openvino", "torchscript": "pytorch", "tensorrt": "tensorrt"}
    form = spec.as_candidate(Candidate(format=name))  # type: ignore[attr-defined]
    made = config(form, "ngc", values(), ["model.sm86.plan", "model.sm120.plan"])
    assert made.backend == backends.get(name, "python")
    if name not in NATIVE:
        return
    assert sum(group.count for group in made.instance_group) == form.instances
    kinds = {group.Kind.Name(group.kind) for group in made.instance_group}
    assert kinds == {{"onnx": "KIND_AUTO", "tensorrt": "KIND_GPU"}.get(name, "KIND_CPU")}
    sizes = {size for buckets in form.buckets.values() for size in buckets}
    warmed = {size for warm in made.model_warmup for entry in warm.inputs.values() for size in entry.dims}
    assert sizes <= warmed, "every bucket"
    assert {warm.batch_size for warm in made.model_warmup} == {1, form.max_batch_size}
    assert len({warm.name for warm in made.model_warmup}) == len(made.model_warmup)
    for warm in made.model_warmup:
        assert warm.inputs.keys() == {tensor.name for tensor in form.inputs}
        largest = max(product(list(entry.dims)) for entry in warm.inputs.values())
        assert warm.batch_size == 1 or warm.batch_size * largest <= WARM_ELEMENTS
        for tensor in form.inputs:
            dims = warm.inputs[tensor.name].dims
            assert len(dims) == len(tensor.dims)
            assert all(want in (-1, got) and got > 0 for want, got in zip(tensor.dims, dims, strict=True))
    if name == "tensorrt":
        assert dict(made.cc_model_filenames) == {"8.6": "model.sm86.plan", "12.0": "model.sm120.plan"}


def product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def test_a_model_without_a_plan_is_not_configured() -> None:
    form = KNOWN["dynamics"].as_candidate(Candidate(format="tensorrt"))
    with pytest.raises(BuildError, match="no TensorRT plan for any compute capability"):
        config(form, "ngc", values(), ["model.onnx"])


def test_profiles_grow_from_one_row_to_a_full_batch_of_the_largest_bucket() -> None:
    smallest, usual, largest = profile(KNOWN["embed_text"])
    assert (smallest["INPUT_IDS"], usual["INPUT_IDS"], largest["INPUT_IDS"]) == ((1, 32), (4, 128), (8, 256))
    page = [shapes["IMAGE"] for shapes in profile(KNOWN["ocr_detect"])]
    assert page == [(1, 64, 64, 3), (4, 512, 512, 3), (8, 960, 960, 3)]
