"""The original that a candidate is timed beside computes what the source answers, every time anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from builder.costing.reference import import_reference, open_reference
from builder.costing.workload import batched_inputs, cases
from builder.sources.checkpoint import load_model
from builder.spec import pipeline
from pixelis.settings import settings
from tests.checkpoints import write_random_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "random")


@pytest.fixture(autouse=True)
def in_use(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PIXELIS_CHECKPOINT", str(checkpoint))
    for kept in (settings, load_model):
        kept.cache_clear()
    yield
    monkeypatch.undo()
    for kept in (settings, load_model):
        kept.cache_clear()


def test_one_more_token_behind_a_prompt_is_the_longer_prompt() -> None:
    spec = pipeline()["policy"]
    reference = open_reference(spec, 1)
    inputs = batched_inputs(spec, spec.open_source(), 2)
    past = int(inputs["PAST"][0])
    decode = reference.timed(inputs)
    first = decode.call()
    decode.once()
    again = decode.once()
    assert again > 0
    whole = reference.timed({"PROMPT": np.tile(inputs["TOKENS"][:, None], (1, past + 1))}).call()
    assert np.asarray(first) == pytest.approx(np.asarray(whole), abs=1e-3)
    assert decode.reset is not None
    decode.reset()
    assert np.asarray(decode.call()) == pytest.approx(np.asarray(first), abs=1e-5)
    config = load_model(settings().checkpoint or Path()).config
    assert reference.weight_bytes > 4 * config.text_config.vocab_size * config.text_config.hidden_size


def test_the_tower_answers_as_the_source_does() -> None:
    spec = pipeline()["vision_encoder"]
    import_reference(spec)
    source, reference = spec.open_source(), open_reference(spec, 1)
    case = next(case for case in cases(spec, source) if case.batch == 4)
    (answer,) = reference.timed(case.inputs).call()  # type: ignore[misc]
    expected = source.reference(case.inputs)["TOKENS"]
    assert np.asarray(answer).reshape(expected.shape) == pytest.approx(expected, abs=1e-4)


def test_a_source_without_a_module_is_its_own_original() -> None:
    spec = pipeline()["ocr_recognize"]
    source, reference = spec.open_source(), open_reference(spec, 1)
    case = cases(spec, source, buckets=False)[0]
    answer = reference.timed(case.inputs).call()
    assert isinstance(answer, dict)
    assert (answer["INDEX"] == source.reference(case.inputs)["INDEX"]).all()
    assert reference.weight_bytes > 10**6
    assert "no PyTorch module" in reference.name
