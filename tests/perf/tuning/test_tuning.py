"""Knobs, the search and what is applied. Servers are real in tests/triton/test_tune.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import TomlConfigSettingsSource

from builder.spec import pipeline
from perf.compare.latency import Latency
from perf.e2e.questions import Supply
from perf.settings_file import toml
from perf.tuning.apply import merged
from perf.tuning.knobs import Choice, Knob, in_force, knobs
from perf.tuning.report import explained, page, rows_of, verdict_row
from perf.tuning.run import Limits
from perf.tuning.study import Search, identity
from perf.tuning.workload import BLOCK, Repeating
from pixelis.errors import SetupError
from pixelis.schema import Measurement
from pixelis.settings import Settings

COLOURS = Knob("decoding.slots", (16, 4, 8))
SIZES = Knob("batching.max_batch_size", (8, 1))
FORMS = Knob("form.policy", ("onnx-fp32", "onnx-int8"))
KNOBS = [COLOURS, SIZES, FORMS]
WORTH: Mapping[tuple[str, Any], float] = {
    ("decoding.slots", 4): 0.9,
    ("decoding.slots", 8): 0.95,
    ("batching.max_batch_size", 1): 1.2,
    ("form.policy", "onnx-int8"): 0.8,
}


def facts(ratio: float, **more: float) -> dict[str, Any]:
    return {"ratio": ratio, "ratio_low": 0.99 * ratio, "ratio_high": 1.01 * ratio, "pairs": 12, "p50_ms": 9.0, **more}


def truth(choice: Choice) -> float:
    ratio = 1.0
    for turned in choice.turned.items():
        ratio *= WORTH[turned]
    return ratio


def search(path: Path, **more: Any) -> Search:
    return Search(path / "pipeline.db", "a", KNOBS, **more)


def play(found: Search, trials: int, over: Callable[[Choice], float] = lambda choice: -1.0) -> list[str]:
    words = []
    for _ in range(trials):
        running = found.next()
        words.append(running.choice.words)
        running.ended(facts(truth(running.choice)), {"pss_mib": over(running.choice)}, broken_off=False)
    return words


def test_what_is_in_force_comes_first_and_what_cannot_be_turned_is_left_out() -> None:
    config = Settings(decoding={"slots": 5}, scheduling={"reason": {"instances": 3}})
    known = pipeline(config)
    found = {one.name: one for one in knobs(config, known, {"policy": ["onnx-fp32", "onnx-int8"]})}
    assert found["decoding.slots"].values[0] == 5
    assert found["scheduling.reason.instances"].values == (3, 1, 2, 4)
    assert found["form.policy"].values == ("onnx-fp32", "onnx-int8")
    assert in_force("operations.read_text", config, known)["steps"] == [0.5, 0.75, 1.0]
    assert [one.name for one in knobs(config, known, {"policy": ["onnx-fp32"]}, ["form", "decoding.s"])] == [
        "decoding.slots",
        "decoding.speculation",
    ]


def test_every_value_of_the_grid_is_a_setting() -> None:
    config = Settings()
    for knob in knobs(config, pipeline(config), {}):
        for value in knob.values:
            chosen = Choice({knob.name: value})
            changed = Settings(**chosen.settings)
            assert in_force(knob.name, changed, pipeline(changed)) == value
            assert knob.value(knob.labels[knob.values.index(value)]) == value


def test_one_by_one_then_together_then_what_the_sampler_says(tmp_path: Path) -> None:
    found = search(tmp_path)
    assert play(found, 5) == [
        "decoding.slots=4",
        "batching.max_batch_size=1",
        "form.policy=onnx-int8",
        "decoding.slots=4, form.policy=onnx-int8",
        "decoding.slots=8",
    ]
    best = found.best()
    assert best is not None
    assert best[0].turned == {"decoding.slots": 4, "form.policy": "onnx-int8"}
    play(found, 4)
    assert len(found.known) == 9


def test_what_is_likely_is_tried_first(tmp_path: Path) -> None:
    likely = Choice({"form.policy": "onnx-int8", "decoding.slots": 8})
    found = Search(tmp_path / "pipeline.db", "a", KNOBS, [likely])
    assert play(found, 2) == ["decoding.slots=8, form.policy=onnx-int8", "decoding.slots=4"]


def test_another_run_goes_on_and_what_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    first = search(tmp_path)
    play(first, 1)
    assert first.next().choice.words == "batching.max_batch_size=1"  # and the run is killed
    again = search(tmp_path)
    assert len(again.known) == 1
    assert play(again, 2) == ["batching.max_batch_size=1", "form.policy=onnx-int8"]
    assert len(search(tmp_path, anew=True).known) == 0


def test_what_oversteps_a_limit_or_cannot_be_served_is_not_the_best(tmp_path: Path) -> None:
    found = search(tmp_path)
    assert found.best() is None
    play(found, 2, lambda choice: 0.1 if "decoding.slots" in choice.turned else -0.1)
    running = found.next()
    running.failed("no room")
    best = found.best()
    assert best is not None
    assert best[0].turned == {"batching.max_batch_size": 1}
    assert found.known[-1][2] == {"reason": "no room"}
    limits = Limits(p99_ms=100, memory_mib=200, accuracy_drop=0.01)
    assert limits.over({"p99_ms": 110, "pss_mib": 100}) == pytest.approx({"p99_ms": 0.1, "pss_mib": -0.5})


def test_a_trial_that_is_worse_all_along_is_broken_off(tmp_path: Path) -> None:
    found = search(tmp_path)
    play(found, 3)
    together = found.next()
    assert len(together.choice.turned) == 2
    slow, quick = ([base + 0.01 * pair for pair in range(12)] for base in (0.9, 0.6))  # the best takes 0.8
    assert [together.worse(slow[:count]) for count in (4, 5)] == [False, True]
    assert not any(together.worse(quick[:count]) for count in range(1, 13))
    together.ended(facts(0.95), {}, broken_off=True)
    assert found.known[-1][0].name == "PRUNED"
    alone = search(tmp_path / "other").next()
    assert not alone.worse(slow)
    assert alone.worse([2 * one for one in slow])


def test_a_file_that_is_no_study_is_said(tmp_path: Path) -> None:
    (tmp_path / "pipeline.db").write_text("no database at all, but some text that is long enough to be read")
    with pytest.raises(SetupError, match="cannot be read as a study"):
        search(tmp_path)


def test_another_load_is_another_search() -> None:
    assert identity({"at_once": 1}) != identity({"at_once": 2})
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})


def test_what_was_found_is_explained(tmp_path: Path) -> None:
    found = search(tmp_path)
    play(found, 5)
    choice, known = found.best() or pytest.fail("nothing")
    latency = Latency("faster", -0.25, -0.30, -0.20, 60, stopped_early=True)
    rows = [*rows_of(found.known, KNOBS, 2), verdict_row(choice, known, latency, kept=True, better=True)]
    measured = Measurement(name="tune pipeline", command="x", machine={}, versions={}, rows=rows)
    assert [row["run"] for row in rows if row["row"] == "trial"] == ["earlier"] * 2 + ["this"] * 3
    said = explained(measured)
    assert said[0].startswith("Better: decoding.slots=4, form.policy=onnx-int8: less time by +25.0 %")
    assert "decoding.slots 16 -> 4: alone +10.0 %" in said[1]
    assert "<svg" in page(measured)
    kept = verdict_row(choice, known, Latency("no difference shown", 0.0, -0.02, 0.02, 60, False), True, False)
    assert "What is served stays" in explained(measured.model_copy(update={"rows": [kept]}))[0]


def test_settings_are_merged_into_what_was_tuned_before(tmp_path: Path) -> None:
    changes = Choice({"decoding.slots": 4, "operations.read_text": {"steps": [1.0], "enough": 1.0}}).settings
    path = tmp_path / "tuned.toml"
    path.write_text(toml(merged({"decoding": {"slots": 8, "speculation": False}}, changes)), encoding="utf-8")
    read = TomlConfigSettingsSource(Settings, path)()
    assert read["decoding"] == {"slots": 4, "speculation": False}
    assert Settings(**read).operations.read_text.steps == (1.0,)


def test_questions_come_again_in_a_stretch() -> None:
    asked = Repeating(Supply(["colour", "count"]), 0.8)(1)
    assert len(asked) == BLOCK
    assert len({one.question.text + str(one.images) for one in asked}) == BLOCK * 0.2
