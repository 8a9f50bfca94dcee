"""The set of forms is fixed: every model × format × precision is built, or the spec says why not."""

from __future__ import annotations

import pytest

from builder.candidate import FORMATS, Candidate, FormatName
from builder.rules.coverage import contradictions, uncovered
from builder.spec import pipeline
from tests.builder.conftest import Place
from tests.builder.golden import HERE, forms

KNOWN = pipeline()
BUILT = [spec for spec in KNOWN.models if spec.built]
SETTLED: tuple[FormatName, ...] = tuple(
    name for name in FORMATS if all(any(e.format == name for e in spec.exclusions) for spec in BUILT)
)
"""Formats of which something is said for every model: then everything must be."""


@pytest.mark.parametrize("spec", BUILT, ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", SETTLED)
def test_every_precision_is_built_or_excluded(spec: object, name: str) -> None:
    assert [pair for pair in uncovered(spec) if pair[0] == name] == []  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", BUILT, ids=lambda spec: spec.name)
def test_nothing_is_built_and_excluded(spec: object) -> None:
    assert list(contradictions(spec)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", BUILT, ids=lambda spec: spec.name)
def test_reasons_are_reasons(spec: object) -> None:
    for exclusion in spec.exclusions:  # type: ignore[attr-defined]
        assert len(exclusion.reason.split()) >= 4, exclusion


def test_no_form_was_dropped() -> None:
    """A form that was built once is a promise; that it no longer is must be meant, and said in the changelog."""
    promised = set((HERE / "forms.txt").read_text().split("\n"))
    dropped = sorted(promised - set(forms().split("\n")))
    assert dropped == [], "mend the form; or exclude it with a reason, say so, and `python -m tests.builder.golden`"


def test_a_dropped_form_is_noticed(place: Place) -> None:
    spec = place.known["alpha"]
    missing = set(uncovered(spec))
    assert ("onnx", "fp32") not in missing
    assert ("onnx", "int8") in missing
    with_int8 = spec.model_copy(
        update={"candidates": (Candidate(format="onnx", precision="int8", quantization="dynamic"),)}
    )
    assert missing - set(uncovered(with_int8)) == {("onnx", "int8")}
