"""The gate refuses what does not answer as its source does, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from builder.gate import Verdict, judge
from builder.model_spec import ModelSpec
from builder.sources.base import Answer, Tensors
from builder.tolerance import TOLERANCES, Tolerance
from pixelis.errors import GateFailed, ServingError
from tests.builder.tiny import Linear, linear_spec, write_linear, write_weights


@pytest.fixture
def linear(tmp_path: Path) -> tuple[Linear, Path, ModelSpec]:
    """A source, its artifact's folder, and its spec."""
    weights = write_weights(tmp_path / "weights.npy")
    source, artifact = Linear(str(weights)), tmp_path / "artifact"
    artifact.mkdir()
    source.export_onnx(artifact)
    return source, artifact, linear_spec("alpha", weights)


def test_a_right_artifact_passes_with_everything_measured(linear: tuple[Linear, Path, ModelSpec]) -> None:
    verdict = judge(*linear)
    assert verdict.passed, verdict.reasons
    verdict.demand("alpha")
    scores, choice = verdict.outputs["SCORES"], verdict.outputs["CHOICE"]
    numbers = scores.against_source.model_dump()
    assert all(numbers[name] is not None for name in ("max_abs", "mean_abs", "max_rel", "cosine", "argmax"))
    assert choice.against_source.equal == 1
    assert verdict.batch_sizes == [1, 3, 8]
    assert scores.alone is not None
    assert scores.allowed == TOLERANCES["fp32"]


class Answering(Linear):
    """Answers with what a function makes of the right answer."""

    def __init__(self, weights: str, change: Callable[[Tensors, Tensors], Tensors]) -> None:
        super().__init__(weights)
        self.change = change

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        yield lambda inputs: self.change(self.reference(inputs), inputs)


def _nan(answers: Tensors, inputs: Tensors) -> Tensors:
    scores = answers["SCORES"].copy()
    scores[-1, 0] = np.nan
    return {**answers, "SCORES": scores}


def _infinite(answers: Tensors, inputs: Tensors) -> Tensors:
    return {**answers, "SCORES": np.full_like(answers["SCORES"], np.inf)}


def _swapped(answers: Tensors, inputs: Tensors) -> Tensors:
    return {"SCORES": answers["CHOICE"], "CHOICE": answers["SCORES"]}


def _reversed(answers: Tensors, inputs: Tensors) -> Tensors:
    return {**answers, "SCORES": answers["SCORES"][:, ::-1]}


def _other_choice(answers: Tensors, inputs: Tensors) -> Tensors:
    return {**answers, "CHOICE": (answers["CHOICE"] + 1) % 4}


def _missing(answers: Tensors, inputs: Tensors) -> Tensors:
    return {"SCORES": answers["SCORES"]}


def _half(answers: Tensors, inputs: Tensors) -> Tensors:
    return {**answers, "SCORES": answers["SCORES"].astype(np.float16)}


def _surplus(answers: Tensors, inputs: Tensors) -> Tensors:
    return {**answers, "MORE": answers["SCORES"]}


def _flat(answers: Tensors, inputs: Tensors) -> Tensors:
    return {**answers, "SCORES": answers["SCORES"].ravel()}


def _batch_mean(answers: Tensors, inputs: Tensors) -> Tensors:
    shift = np.float32(0.05) * (len(inputs["X"]) > 1)
    return {**answers, "SCORES": answers["SCORES"] + shift}


def _refuses(answers: Tensors, inputs: Tensors) -> Tensors:
    raise ServingError("ONNX Runtime failed.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_nan, "NaN or infinity"),
        (_infinite, "NaN or infinity"),
        (_swapped, "SCORES: is int64"),
        (_reversed, "SCORES: cosine"),
        (_other_choice, "CHOICE: share of equal elements 0 < 0.999"),
        (_missing, "CHOICE: missing"),
        (_half, "SCORES: is float16"),
        (_surplus, "MORE: the spec knows no such output"),
        (_flat, "SCORES: has shape"),
        (_batch_mean, "SCORES: depends on the rest of its batch"),
        (_refuses, "ONNX Runtime failed"),
    ],
)
def test_what_is_refused(
    linear: tuple[Linear, Path, ModelSpec], change: Callable[[Tensors, Tensors], Tensors], reason: str
) -> None:
    source, artifact, spec = linear
    verdict = judge(Answering(str(source.path), change), artifact, spec)
    assert not verdict.passed
    assert any(reason in text for text in verdict.reasons), verdict.reasons
    with pytest.raises(GateFailed, match="does not answer as its source does"):
        verdict.demand("alpha")


def test_perturbed_weights_are_refused(linear: tuple[Linear, Path, ModelSpec]) -> None:
    source, artifact, spec = linear
    write_linear(artifact / "model.onnx", source.weights() + np.float32(0.01))
    assert any("error beyond" in reason for reason in judge(source, artifact, spec).reasons)


def test_arg_max_is_judged_where_the_error_is_within_tolerance(linear: tuple[Linear, Path, ModelSpec]) -> None:
    def nudge(answers: Tensors, inputs: Tensors) -> Tensors:
        """The runner-up of every row is lifted just over the winner."""
        scores = answers["SCORES"].copy()
        order = scores.argsort(1)
        rows = np.arange(len(scores))
        scores[rows, order[:, -2]] = scores[rows, order[:, -1]] + 0.01
        return {**answers, "SCORES": scores}

    source, artifact, spec = linear
    loose = Tolerance(max_abs=10, mean_abs=10, cosine=-1, scale=1)
    verdict = judge(Answering(str(source.path), nudge), artifact, spec.model_copy(update={"tolerance": loose}))
    assert verdict.reasons == ["SCORES: arg-max agreement 0 < 1"]


def test_a_gate_that_sees_too_little_refuses(linear: tuple[Linear, Path, ModelSpec]) -> None:
    class Single(Linear):
        def samples(self) -> list[Tensors]:
            return super().samples()[:1]

    class Blind(Linear):
        def samples(self) -> list[Tensors]:
            return []

    source, artifact, spec = linear
    assert "single batch size" in judge(Single(str(source.path)), artifact, spec).reasons[0]
    assert "no samples" in judge(Blind(str(source.path)), artifact, spec).reasons[0]
    varying = spec.model_copy(update={"inputs": (spec.inputs[0].model_copy(update={"dims": (-1,)}),)})
    assert "single shape of X" in judge(source, artifact, varying).reasons[0]


def test_the_artifacts_own_faults_count(linear: tuple[Linear, Path, ModelSpec]) -> None:
    class Particular(Linear):
        def check(self, directory: Path) -> list[str]:
            return [f"{directory.name} looks odd"]

    source, artifact, spec = linear
    assert judge(Particular(str(source.path)), artifact, spec).reasons == ["artifact looks odd"]


def test_a_tolerance_may_be_an_outputs_own(linear: tuple[Linear, Path, ModelSpec]) -> None:
    source, artifact, spec = linear
    write_linear(artifact / "model.onnx", source.weights() * np.float32(1.0005))
    strict = {"SCORES": Tolerance(max_abs=1e-6, max_rel=1e-6, mean_abs=1e-6)}
    wide = {"SCORES": Tolerance(mean_abs=1e-2, scale=1e-3)}
    assert not judge(source, artifact, spec.model_copy(update={"output_tolerances": strict})).passed
    assert judge(source, artifact, spec.model_copy(update={"output_tolerances": wide})).passed


def test_a_verdict_survives_json(linear: tuple[Linear, Path, ModelSpec]) -> None:
    verdict = judge(*linear)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
