"""Faults in real artifacts of real models: each is refused, with the reason and the first wrong layer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder import gate
from builder.gating import bisect
from builder.gating.verdict import Verdict
from builder.model_spec import ModelSpec
from builder.sources.base import Source
from builder.sources.decoder import Decoder
from builder.spec import pipeline
from pixelis.errors import GateFailed
from tests.builder import faults
from tests.builder.exported import exported
from tests.builder.faults import Change
from tests.marked import long


@dataclass
class Artifact:
    """A right artifact of a model in a form, and the fp32 ONNX one of the same source."""

    source: Source
    spec: ModelSpec
    directory: Path
    plain: Path


class Artifacts:
    """Built when first asked for, and kept for the session."""

    def __init__(self, root: Path) -> None:
        self.root, self.known = root, {m.name: m for m in pipeline().models}
        self.sources: dict[str, Source] = {}

    def __call__(self, model: str, label: str) -> Artifact:
        spec = self.known[model].as_candidate(self.known[model].find_candidate(label))
        plain = self._built(model, "onnx-fp32")
        source = self.sources[model]
        # What bisecting compares with is exported once, not once for each fault.
        source.export_onnx = lambda folder: shutil.copytree(plain, folder, dirs_exist_ok=True)  # type: ignore[method-assign]
        return Artifact(source, spec, self._built(model, label), plain)

    def _built(self, model: str, label: str) -> Path:
        folder = self.root / model / label
        if not folder.is_dir():
            spec = self.known[model].as_candidate(self.known[model].find_candidate(label))
            exported(spec, self.sources.setdefault(model, spec.open_source()), folder)
        return folder


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("faults"))


@pytest.fixture(autouse=True)
def _numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are to be seen in the numbers: tasks, which see some of them too, are not even asked."""
    monkeypatch.setattr(gate, "measure", lambda *_: [])


def broken(right: Artifact, folder: Path, change: Change) -> tuple[Verdict, set[str]]:
    """The verdict on the artifact with a fault, and the nodes that may be blamed for it."""
    shutil.copytree(right.directory, folder)
    mark = faults.inject(folder, change)
    return gate.judge(right.source, folder, right.spec), faults.blamed(
        folder / "model.onnx", right.plain / "model.onnx", mark
    )


def assert_refused(found: tuple[Verdict, set[str]], reason: str) -> None:
    verdict, blamed = found
    assert verdict.verdict == "fail"
    assert any(reason in text for text in verdict.reasons), verdict.reasons
    assert verdict.first_wrong is not None
    assert verdict.first_wrong.node in blamed, verdict.first_wrong
    with pytest.raises(GateFailed, match="first wrong layer: "):
        verdict.demand("the model")


def assert_seen(verdict: Verdict, fault: str) -> None:
    """It is among the quantised weights, one by one."""
    assert verdict.verdict == "fail"
    few = [text for text in verdict.reasons if " weights of " in text and "off by more than rounding" in text]
    assert len(few) == 1, verdict.reasons
    assert few[0].startswith("1 of ") == (fault == "weight"), few


@pytest.mark.parametrize("label", ["onnx-fp32", "onnx-int8-dynamic", "onnx-int8-static", "onnx-int8-weights"])
def test_a_right_artifact_passes(artifacts: Artifacts, label: str) -> None:
    right = artifacts("dynamics", label)
    verdict = gate.judge(right.source, right.directory, right.spec)
    assert verdict.passed, verdict.reasons
    assert verdict.weights == (0 if label == "onnx-fp32" else 3)
    found = bisect.first_wrong(right.source, right.directory, right.spec)
    assert found.node == "" or "no single one is clearly wrong" in found.note
    if label == "onnx-fp32":
        assert "the graph does what a fresh fp32 export of its source does" in str(found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (faults.weight(0), "cosine"),
        (faults.weight(1), "cosine"),
        (faults.weight(2), "cosine"),
        (faults.weight(0, faults.flipped_channel), "cosine"),
        (faults.weight(1, faults.flipped_channel), "cosine"),
        (faults.weight(2, faults.flipped_channel), "cosine"),
        (faults.scaled("NEXT_STATE", 1.01), "scale is off by 0.01"),
        (faults.scaled("NEXT_STATE", 0.99), "scale is off by 0.0"),
    ],
    ids=["weight 0", "weight 1", "weight 2", "channel 0", "channel 1", "channel 2", "x 1.01", "x 0.99"],
)
def test_a_fault_in_fp32(artifacts: Artifacts, tmp_path: Path, change: Change, reason: str) -> None:
    assert_refused(broken(artifacts("dynamics", "onnx-fp32"), tmp_path / "broken", change), reason)


@pytest.mark.parametrize("factor", [1.01, 0.99, 1.1])
@pytest.mark.parametrize("label", ["onnx-int8-dynamic", "onnx-int8-static", "onnx-int8-weights"])
def test_a_scaled_output_in_int8(artifacts: Artifacts, tmp_path: Path, label: str, factor: float) -> None:
    found = broken(artifacts("dynamics", label), tmp_path / "broken", faults.scaled("NEXT_STATE", factor))
    assert_refused(found, "scale is off by")


def test_a_channel_of_int8_weights(artifacts: Artifacts, tmp_path: Path) -> None:
    change = faults.weight(1, faults.flipped_channel)
    assert_refused(broken(artifacts("dynamics", "onnx-int8-static"), tmp_path / "broken", change), "cosine")


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("fault", ["weight", "channel"])
@pytest.mark.parametrize("label", ["onnx-int8-dynamic", "onnx-int8-static"])
def test_every_weight_of_int8_is_looked_at(
    artifacts: Artifacts, tmp_path: Path, label: str, fault: str, at: int
) -> None:
    change = faults.weight(at) if fault == "weight" else faults.weight(at, faults.flipped_channel)
    assert_seen(broken(artifacts("dynamics", label), tmp_path / "broken", change)[0], fault)


def test_a_scale_of_int8_blocks(artifacts: Artifacts, tmp_path: Path) -> None:
    change = faults.constant("middle.weight_Transposed_scales", lambda scales: scales.__setitem__(7, scales[7] * 1.5))
    assert_seen(broken(artifacts("dynamics", "onnx-int8-weights"), tmp_path / "broken", change)[0], "scale")


def test_the_command_names_the_layer(artifacts: Artifacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = artifacts("dynamics", "onnx-fp32")
    shutil.copytree(right.directory, tmp_path / "broken")
    faults.inject(tmp_path / "broken", faults.weight(1))
    assert bisect.main(["dynamics", str(tmp_path / "broken")]) == 0
    assert "first wrong layer: Gemm node_linear_1 (relative error 0 -> " in capsys.readouterr().out
    assert bisect.main(["dynamics", str(right.directory)]) == 1
    assert bisect.main(["dynamics", str(right.directory), "--candidate", "onnx-int3"]) == 2


def test_what_cannot_be_looked_into_says_so(artifacts: Artifacts, tmp_path: Path) -> None:
    right = artifacts("dynamics", "onnx-fp32")
    for form, words in (("torchscript", "keeps no layers"), ("openvino", "not looked into")):
        found = bisect.first_wrong(right.source, tmp_path, right.spec.model_copy(update={"format": form}))
        assert str(found).startswith("not bisected: ")
        assert words in str(found)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    assert "not bisected: " in str(bisect.first_wrong(right.source, tmp_path, right.spec))


VISION = {
    "weight": faults.weight(1),
    "channel": faults.weight(1, faults.flipped_channel),
    "x 1.01": faults.scaled("TOKENS", 1.01),
    "x 0.99": faults.scaled("TOKENS", 0.99),
    "rotary table": faults.table("cos", "sin"),
}
ALIKE = ("weight", "x 0.99")


@pytest.mark.slow
@pytest.mark.parametrize("fault", [long(one) if one in ALIKE else one for one in VISION])
@pytest.mark.parametrize("label", ["onnx-fp32", "onnx-int8-dynamic"])
def test_the_vision_tower(artifacts: Artifacts, tmp_path: Path, label: str, fault: str) -> None:
    if label != "onnx-fp32" and fault in ("weight", "channel"):  # too little to be seen in the answers
        assert_seen(broken(artifacts("vision_encoder", label), tmp_path / "broken", VISION[fault])[0], fault)
        return
    assert_refused(broken(artifacts("vision_encoder", label), tmp_path / "broken", VISION[fault]), "TOKENS: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "change", "reason"),
    [
        long("onnx-fp32", faults.weight(1), "cosine"),
        long("onnx-fp32", faults.table("embeddings.position_embeddings"), "cosine"),
        long("onnx-int8-weights", faults.table("embeddings.position_embeddings"), "cosine"),
        ("onnx-int8-weights", faults.scaled("EMBEDDING", 1.01), "scale"),
    ],
    ids=["weight", "positions", "int8 positions", "int8 x 1.01"],
)
def test_the_text_encoder(artifacts: Artifacts, tmp_path: Path, label: str, change: Change, reason: str) -> None:
    found = broken(artifacts("embed_text", label), tmp_path / "broken", change)
    if label != "onnx-fp32" and reason == "scale":  # rounding of the tables is as large, and comes first
        assert any("scale is off by" in text for text in found[0].reasons)
        return
    assert_refused(found, reason)


@pytest.mark.long
def test_swapped_outputs_of_the_image_encoder(artifacts: Artifacts, tmp_path: Path) -> None:
    verdict, _ = broken(
        artifacts("embed_image", "onnx-fp32"), tmp_path / "broken", faults.swapped("EMBEDDING", "FEATURES")
    )
    assert verdict.verdict == "fail"
    assert any("EMBEDDING: has shape [1, 14, 14, 384], the source says [1, 1280]" in text for text in verdict.reasons)
    assert any("FEATURES: is float32[1280], the spec says FP32[14, 14, 384]" in text for text in verdict.reasons)


POLICY: dict[str, tuple[Callable[[], Change], str]] = {
    "weight": (lambda: faults.weight(2), "PREFILL_LOGITS: cosine"),
    "channel": (lambda: faults.weight(2, faults.flipped_channel), "PREFILL_LOGITS: cosine"),
    "x 1.01": (lambda: faults.scaled("logits", 1.01), "STEP_LOGITS: scale is off by 0.01"),
    "key and value swapped": (lambda: faults.swapped("present.0.key", "present.0.value"), "STEP_LOGITS: cosine"),
    "logits of the token before": (lambda: faults.shifted("logits_at", -1), "PREFILL_LOGITS: cosine"),
    "a step at the next position": (
        lambda: faults.shifted("position_ids", 1, faults.while_decoding),
        "STEP_LOGITS: cosine",
    ),
}


MANY_STEPS = ("weight", "key and value swapped", "logits of the token before")


@pytest.mark.parametrize("fault", [long(one) if one in MANY_STEPS else one for one in POLICY])
def test_the_decoder(random_checkpoint: Path, policy_artifact: Path, tmp_path: Path, fault: str) -> None:
    source = Decoder(random_checkpoint)
    source.export_onnx = lambda folder: shutil.copytree(policy_artifact, folder, dirs_exist_ok=True)  # type: ignore[method-assign]
    right = Artifact(source, pipeline()["policy"], policy_artifact, policy_artifact)
    change, reason = POLICY[fault]
    assert_refused(broken(right, tmp_path / "broken", change()), reason)
