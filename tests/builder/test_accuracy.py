"""What the gate says of accuracy: paired differences, their intervals, and pass, warn and fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.gate import judge
from builder.gating.paired import BOOTSTRAP, TANGO, paired, tango
from builder.gating.verdict import TaskReport, Verdict
from builder.model_spec import ModelSpec
from builder.sources.base import Answer, Tensors
from builder.sources.task import Asked, Task
from builder.storing.manifest import Manifest
from builder.tolerance import TOLERANCES, Tolerance
from pixelis.errors import ServingError
from tests.builder.conftest import Place
from tests.builder.tiny import Linear, linear_spec, write_weights


def test_tangos_interval_is_the_published_one() -> None:
    """Airway responsiveness of 21 children, 1 better and 7 worse (Fagerland et al., Statistics in Medicine, 2014)."""
    low, high = tango(1, 7, 21)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


@given(st.integers(1, 5000))
def test_no_difference_is_not_certainty(cases: int) -> None:
    low, high = tango(0, 0, cases)
    assert high == pytest.approx(3.8415 / (cases + 3.8415), rel=1e-3)
    assert low == pytest.approx(-high, rel=1e-6)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_the_interval_holds_the_difference_and_turns_with_it(gained: int, lost: int, same: int) -> None:
    cases = gained + lost + same
    if not cases:
        return
    low, high = tango(gained, lost, cases)
    assert -1 <= low <= (gained - lost) / cases <= high <= 1
    assert tango(lost, gained, cases) == pytest.approx((-high, -low), abs=1e-9)


def test_the_interval_covers_the_truth() -> None:
    """Of 400 experiments in which 6 % of the cases are lost and 3 % gained, about 95 in 100 intervals hold -0.03."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        drawn = rng.random(400)
        reference, artifact = np.ones(400), np.ones(400)
        artifact[drawn < 0.06] = 0.0
        reference[drawn > 0.97] = 0.0
        found = paired(reference, artifact)
        held += found.low <= -0.03 <= found.high
    assert 0.93 * 400 <= held <= 0.98 * 400


def test_the_interval_of_graded_scores_covers_the_truth() -> None:
    """A tenth of the cases loses 0.2 on average: the mean falls by 0.02."""
    rng, held = np.random.default_rng(5), 0
    for trial in range(40):
        reference = 0.5 + 0.5 * rng.random(200)
        artifact = reference - np.where(rng.random(200) < 0.1, 0.4 * rng.random(200), 0.0)
        found = paired(reference, artifact, seed=trial)
        held += found.low <= -0.02 <= found.high
        assert found.formula == BOOTSTRAP
    assert held >= 37


def test_graded_scores_that_never_differ_are_no_certainty_either() -> None:
    found = paired(np.full(400, 0.6), np.full(400, 0.6))
    assert found.low == pytest.approx(-0.0075, abs=0.003)
    assert found.high == pytest.approx(0.0075, abs=0.003)


def test_scores_that_cannot_be_compared_are_refused() -> None:
    for reference, artifact in (([1.0], [1.0, 1.0]), ([], []), ([1.0], [1.5]), ([1.0], [math.nan])):
        with pytest.raises(ValueError, match="score"):
            paired(np.array(reference), np.array(artifact))


class Choices(Task):
    """Which of four classes a row of noise belongs to, by the source's own weights."""

    name = "choices"
    metric = "the class is right"

    def __init__(self, cases: int) -> None:
        self.cases = cases

    def scores(self, ask: Callable[[Asked], Asked]) -> Sequence[float]:
        x = np.random.default_rng(9).normal(size=(self.cases, 6)).astype(np.float32)
        right = Linear.reference(self.source, {"X": x})["CHOICE"]  # type: ignore[attr-defined]
        return [float(hit) for hit in (ask({"X": x})["CHOICE"] == right)[:, 0]]


class Tasked(Linear):
    """Loses a share of the cases of its task, and answers everything else as its source does."""

    cases = 1000
    lost = 0.0

    def tasks(self) -> list[Task]:
        task = Choices(self.cases)
        task.source = self  # type: ignore[attr-defined]
        return [task]

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        def answer(inputs: Tensors) -> Tensors:
            found = self.reference(inputs)
            if len(inputs["X"]) == self.cases:
                found["CHOICE"][: round(self.lost * self.cases)] += 1
            return found

        yield answer


def verdict_of(tmp_path: Path, cases: int, lost: float, **changes: object) -> Verdict:
    weights = write_weights(tmp_path / "weights.npy")
    source = Tasked(str(weights))
    source.cases, source.lost = cases, lost
    spec: ModelSpec = linear_spec("alpha", weights, **changes)
    return judge(source, tmp_path, spec)


def test_no_drop_in_many_cases_passes(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, 1000, 0.0)
    (task,) = verdict.tasks
    assert (verdict.verdict, verdict.passed, verdict.warnings) == ("pass", True, [])
    assert (task.name, task.cases, task.reference, task.artifact, task.difference) == ("choices", 1000, 1, 1, 0)
    assert -0.01 < task.low < 0 < task.high < 0.01
    assert task.interval == TANGO
    assert task.allowed_drop == 0.01


def test_too_few_cases_are_a_warning_and_no_refusal(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, 100, 0.0)
    assert (verdict.verdict, verdict.passed) == ("warn", True)
    assert "choices: 1.0000 -> 1.0000 over 100 cases" in verdict.warnings[0]
    verdict.demand("alpha")


def test_a_drop_beyond_what_is_allowed_is_refused_with_its_interval(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, 1000, 0.02)
    assert (verdict.verdict, verdict.passed) == ("fail", False)
    (reason,) = verdict.reasons
    assert "choices: 1.0000 -> 0.9800 over 1000 cases, difference -0.0200 [-0.0307, -0.0130]" in reason


def test_the_spec_may_allow_another_drop_and_the_report_shows_it(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, 1000, 0.02, allowed_drops={"choices": 0.05})
    assert (verdict.verdict, verdict.tasks[0].allowed_drop) == ("pass", 0.05)


def test_a_number_close_to_its_limit_is_a_warning(tmp_path: Path) -> None:
    class Off(Tasked):
        @contextmanager
        def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
            def answer(inputs: Tensors) -> Tensors:
                right = self.reference(inputs)
                return {**right, "SCORES": right["SCORES"] * np.float32(1.00009)}

            yield answer

    weights = write_weights(tmp_path / "weights.npy")
    verdict = judge(Off(str(weights)), tmp_path, linear_spec("alpha", weights, tolerance=Tolerance(mean_abs=1)))
    assert verdict.verdict == "warn"
    assert any("scale is off by" in warning and "close to its limit 0.0001" in warning for warning in verdict.warnings)


def test_a_task_that_is_not_answered_is_a_refusal(tmp_path: Path) -> None:
    class Mute(Tasked):
        @contextmanager
        def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
            def answer(inputs: Tensors) -> Tensors:
                if len(inputs["X"]) == self.cases:
                    raise ServingError("out of memory")
                return self.reference(inputs)

            yield answer

    weights = write_weights(tmp_path / "weights.npy")
    verdict = judge(Mute(str(weights)), tmp_path, linear_spec("alpha", weights))
    assert verdict.reasons == ["no answer to a task: out of memory"]


def test_tolerances_by_precision_and_output() -> None:
    spec = linear_spec("alpha", Path("none.npy"), precision="int8", quantization="dynamic")
    assert spec.tolerance_of("SCORES") == TOLERANCES["int8"]
    wide, own, exact = Tolerance(mean_abs=1), Tolerance(mean_abs=2), Tolerance(mean_abs=3)
    spec = spec.model_copy(update={"tolerances": {"int8": wide, "fp16": Tolerance(mean_abs=9)}})
    assert spec.tolerance_of("SCORES") == wide
    spec = spec.model_copy(update={"output_tolerances": {"SCORES": own}})
    assert (spec.tolerance_of("SCORES"), spec.tolerance_of("CHOICE")) == (own, wide)
    spec = spec.model_copy(update={"precise_tolerances": {"int8": {"SCORES": exact}}})
    assert (spec.tolerance_of("SCORES"), spec.tolerance_of("CHOICE")) == (exact, wide)


def test_a_tolerance_that_was_changed_in_the_spec_is_in_the_manifest(built: Place) -> None:
    weights = Path(built.known["alpha"].arguments["weights"])
    changed = Tolerance(mean_abs=0.5, max_abs=2, cosine=0.5, scale=1, argmax=0, integer=0)
    known = built.with_model(linear_spec("alpha", weights, "Wrong", tolerances={"fp32": changed}))
    assert not built.build("alpha", known=known).failed
    manifest: Manifest = built.store.manifest("alpha")
    assert manifest.gate.outputs["SCORES"].allowed == changed
    assert manifest.gate.outputs["SCORES"].against_source.max_abs


def test_nothing_lets_a_refused_artifact_through() -> None:
    """No option and no argument of the builder or of its command line skips the gate or its verdict."""
    root = Path(__file__).parents[2]
    for path in [*root.glob("builder/**/*.py"), *root.glob("pixelis/**/*.py"), root / "Makefile"]:
        text = path.read_text().replace("-", "_")
        for word in ("allow_fail", "skip_gate", "no_gate", "ignore_gate", "force_publish"):
            assert word not in text, path


def test_manifests_that_are_older_than_the_verdict_still_parse(built: Place) -> None:
    path = built.store.folder("alpha", 2) / "manifest.json"
    manifest = Manifest.read_file(path)
    raw = manifest.model_dump(mode="json")
    for name in ("verdict", "warnings", "tasks", "first_wrong"):
        del raw["gate"][name]
    for report in raw["gate"]["outputs"].values():
        del report["against_source"]["scale"], report["allowed"]["scale"]
    older = Manifest.model_validate(raw)
    assert (older.gate.passed, older.gate.verdict, older.gate.tasks) == (True, "pass", [])
    raw["gate"]["passed"] = False
    assert Manifest.model_validate(raw).gate.verdict == "fail"


def test_a_report_says_what_it_means() -> None:
    numbers = {"reference": 0.9, "difference": -0.02, "low": -0.03, "high": -0.01, "interval": TANGO}
    report = TaskReport(name="a", metric="b", cases=10, artifact=0.88, allowed_drop=0.01, **numbers)
    assert report.fault is not None
    assert report.doubt is None
    assert report.model_copy(update={"difference": 0.0}).doubt is not None
