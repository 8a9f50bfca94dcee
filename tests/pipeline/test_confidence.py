"""Confidence comes from log-probabilities, and a calibration that was fitted is calibrated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from builder.nano.calibration import Judged, fit
from perf.nano_evaluation import calibration_error
from pixelis.errors import BuildError
from python_backends.pipeline.confidence import Evidence
from python_backends.policy.profile import Calibration


def test_without_calibration_it_is_the_answers_own_probability() -> None:
    evidence = Evidence()
    assert evidence.confidence(None) == 0.0
    evidence.called(-3.0)
    evidence.answered(-0.5)
    assert evidence.confidence(None) == pytest.approx(math.exp(-0.5))


def test_the_least_likely_call_counts() -> None:
    evidence, calibration = Evidence(), Calibration(bias=2.0, answer=1.0, call=3.0)
    for logprob in (-0.1, -0.7, -0.2, None):
        evidence.called(logprob)
    evidence.answered(-0.25)
    assert evidence.confidence(calibration) == pytest.approx(1 / (1 + math.exp(-(2.0 - 0.25 - 2.1))))


def test_it_stays_in_bounds() -> None:
    evidence = Evidence()
    evidence.answered(-1e9)
    assert evidence.confidence(Calibration(bias=0.0, answer=1.0, call=0.0)) == pytest.approx(0.0)


def test_a_fit_is_calibrated_and_tells_right_from_wrong() -> None:
    rng = np.random.default_rng(5)
    answer, call = -rng.exponential(0.05, 4000), -rng.exponential(0.3, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(3.0 + 4.0 * answer + 5.0 * call)))
    judged = [Judged(float(a), float(c), bool(r)) for a, c, r in zip(answer, call, right, strict=True)]
    fitted = fit(judged[:2000])
    pairs = []
    for one in judged[2000:]:
        evidence = Evidence(answer=one.answer_logprob, call=one.call_logprob)
        pairs.append((evidence.confidence(fitted), one.right))
    assert calibration_error(pairs) < 0.03
    sure = [c for c, ok in pairs if ok]
    unsure = [c for c, ok in pairs if not ok]
    assert np.mean(sure) > np.mean(unsure) + 0.1


def test_too_few_episodes_are_an_error() -> None:
    with pytest.raises(BuildError, match="too few"):
        fit([Judged(-0.1, -0.1, True)] * 20)
