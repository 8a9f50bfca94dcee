"""A report says of every form what is known of it, in HTML, Markdown and JSON."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builder.building.candidates import build_candidates
from builder.candidate import Exclusion
from builder.choosing.choose import Row, choose
from builder.choosing.pareto import draw, points, save
from builder.commands.report import app
from builder.costing.timing import Turns
from builder.gating.verdict import TaskReport
from builder.measure import Plan, measure
from builder.reporting.html import html
from builder.reporting.markdown import markdown
from builder.reporting.report import ModelReport, Report, Served, collect
from pixelis.settings import settings
from tests.builder.conftest import Place
from tests.builder.costs import row
from tests.builder.tiny import linear_spec

REFUSED = Row(model="alpha", candidate="onnx-int4", state="refused", verdict="fail", reason="cosine 0.5 < 0.97 | <b>")
EXCLUDED = Row(model="alpha", candidate="coreml", state="excluded", reason="it has no such operator")
TASK = TaskReport(
    name="lines",
    metric="line is exact",
    cases=80,
    reference=0.95,
    artifact=0.9375,
    difference=-0.0125,
    low=-0.03,
    high=0.005,
    interval="normal",
    allowed_drop=0.02,
)


@pytest.fixture
def made() -> Report:
    fast = row("onnx-int8-dynamic", 0.0125, ms=3, mib=12).model_copy(update={"tasks": [TASK], "warnings": ["look"]})
    rows = [row("onnx-fp32", ms=8, mib=30), fast, row("openvino-bf16", None, ms=5, memory=None), REFUSED, EXCLUDED]
    served = Served(version=4, candidate="onnx-int8-dynamic", digest="ab" * 32, why="latency: 3.33 times")
    best = [choose(rows, goal, 0.02) for goal in ("latency", "size")]
    model = ModelReport(model="alpha", kind="engine", served=served, rows=rows, best=best)
    empty = ModelReport(model="beta", kind="engine", rows=[], note="weights.npy is not there")
    facts = {"cpu": "a & b"}
    return Report(made_at=0.0, repository="r", max_accuracy_drop=0.02, machine=facts, models=[model, empty])


class Checked(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_contained(made: Report) -> None:
    pytest.importorskip("matplotlib")
    page = html(made)
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    assert len(set(checked.ids)) == len(checked.ids)
    assert not re.search(r'(src|href)="(?!#)(?!http://www\.w3\.org)', page)
    assert "<script" not in page
    assert "cosine 0.5 &lt; 0.97 | &lt;b&gt;" in page
    assert "a &amp; b" in page
    for word in ("onnx-int8-dynamic", "3.33×", "-1.25 points", "70 %", "it has no such operator", "weights.npy"):
        assert word in page, word


def test_markdown_tables_have_as_many_cells_as_heads(made: Report) -> None:
    text = markdown(made)
    width = 0
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1 if line.startswith("|") else 0
        assert cells == width or not width or not cells, line
        width = cells
    assert "| lines (line is exact) | 80 | 0.9500 | 0.9375 | -1.25 | -3.00 to +0.50 | 2 |" in text
    assert "Served: **onnx-int8-dynamic**, version 4" in text


def test_the_picture_shows_what_was_measured(made: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = made.models[0].rows
    found = {point.label: point for point in points(rows, "onnx-int8-dynamic")}
    assert set(found) == {"onnx-fp32", "onnx-int8-dynamic", "openvino-bf16"}
    assert found["onnx-int8-dynamic"].chosen
    assert found["onnx-int8-dynamic"].time == pytest.approx(30)
    assert found["onnx-int8-dynamic"].memory == pytest.approx(12)
    assert save("alpha", rows, None, tmp_path / "a" / "alpha.png")
    assert (tmp_path / "a" / "alpha.png").read_bytes().startswith(b"\x89PNG")
    assert draw("alpha", rows, None, "svg") == draw("alpha", rows, None, "svg")
    assert draw("alpha", [REFUSED], None, "png") == b""


def test_a_report_reads_what_builds_and_measurements_left(built: Place) -> None:
    wrong = linear_spec("beta", built.root / "beta.npy", "Wrong")
    reason = "nobody runs it on a telephone"
    alpha = built.known["alpha"].model_copy(update={"exclusions": (Exclusion(format="coreml", reason=reason),)})
    known = built.with_model(wrong).replacing(alpha)
    where = {"repository": built.store.repository, "state": built.store.state}
    forms = build_candidates(spec=known, **where)  # type: ignore[arg-type]
    keys = {form.candidate: form.key for form in forms.rows if form.key and form.model == "alpha"}
    plan = Plan(Turns(rounds=1, turn_s=0.01, calls=2), memory=False)
    measure(built.store, known, "alpha", keys, plan, lambda model, stage: None)
    found = {model.model: model for model in collect(built.store, known).models}
    assert [(row.candidate, row.state) for row in found["alpha"].rows] == [
        ("onnx-fp32", "measured"),
        ("coreml", "excluded"),
    ]
    assert found["alpha"].served is not None
    assert found["alpha"].served.candidate == "onnx-fp32"
    assert {choice.goal: choice.chosen for choice in found["alpha"].best} == {
        "latency": "onnx-fp32",
        "throughput": "onnx-fp32",
        "memory": None,
        "size": "onnx-fp32",
    }
    assert found["beta"].rows[0].state == "refused"
    assert "SCORES" in found["beta"].rows[0].reason
    (built.root / "alpha.npy").unlink()
    assert collect(built.store, known, ["alpha"]).models[0].rows[0].state == "absent"


def test_the_command_writes_what_it_is_asked_for(built: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.commands.report.pipeline", lambda: built.known)
    monkeypatch.setenv("PIXELIS_STATE", str(built.store.state))
    settings.cache_clear()
    page, text = tmp_path / "out" / "report.html", tmp_path / "out" / "report.md"
    where = ["--repository", str(built.store.repository)]
    run = CliRunner().invoke(app, ["alpha", "--html", str(page), "--markdown", str(text), *where])
    settings.cache_clear()
    assert run.exit_code == 0, run.output
    assert "onnx-fp32*" in run.output
    assert "not measured" in page.read_text()
    assert text.read_text().startswith("# Forms of the models")
    as_json = CliRunner().invoke(app, ["alpha", "--json", *where])
    assert Report.model_validate_json(as_json.stdout).models[0].model == "alpha"
