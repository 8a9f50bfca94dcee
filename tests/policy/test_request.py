"""How a request is made ready."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import LimitExceeded
from pixelis.schema import Sampling
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.positions import Videos, mrope_positions
from python_backends.policy.request import PolicyRequest, Sequence, prepare
from tests.policy.support import Caller


@pytest.mark.parametrize("ignored", [False, True])
def test_ends_of_the_checkpoint_can_be_ignored_and_stop_ids_cannot(policy_artifact: Path, ignored: bool) -> None:
    config = CheckpointConfig.load(policy_artifact)
    stop = next(token for token in range(config.vocabulary) if token not in config.end_ids)
    sampling = Sampling(request_id="a", ignore_end=ignored, stop_ids=[stop])
    asked = PolicyRequest(np.array([20, 21]), None, np.zeros(0, np.int32), sampling)
    prepared = prepare(asked, Caller(), config, EmbeddingTable.load(policy_artifact, config), 128)
    assert prepared.ending(stop) == "stop"
    assert {prepared.ending(end) for end in config.end_ids} == {None if ignored else "stop"}


def _video(artifact: Path, patch_seconds: float | None) -> tuple[Sequence, CheckpointConfig, np.ndarray]:
    """A prompt with a video of two temporal patches of four visual tokens each."""
    config = CheckpointConfig.load(artifact)
    ids = np.array([20, *[config.image_token] * 8, 21], np.int64)
    visual = np.zeros((8, config.visual_width), np.float32)
    sampling = Sampling(request_id="a", patch_seconds=patch_seconds)
    asked = PolicyRequest(ids, visual, np.array([2, 4, 4], np.int32), sampling)
    return prepare(asked, Caller(), config, EmbeddingTable.load(artifact, config), 128), config, ids


@pytest.mark.parametrize(("seconds", "step"), [(None, 1.0), (0.25, 1.0), (0.9, 3.6), (10.0, 40.0)])
def test_patches_of_a_video_lie_apart_by_their_seconds(
    policy_artifact: Path, seconds: float | None, step: float
) -> None:
    made, config, ids = _video(policy_artifact, seconds)
    wanted, following = mrope_positions(ids, [], -1, 2, Videos(config.image_token, [(2, 4, 4)], [step]))
    np.testing.assert_array_equal(made.positions, wanted)
    assert made.next_position == following
    again, _, _ = _video(policy_artifact, 20.0)
    differs = np.flatnonzero((made.content != again.content).any(axis=1))
    assert differs[0] == 5, "what is kept of the prompt is shared up to where time differs"


def test_a_video_that_lasts_longer_than_positions_reach_is_refused(policy_artifact: Path) -> None:
    config = CheckpointConfig.load(policy_artifact)
    with pytest.raises(LimitExceeded, match=f"the policy knows {config.max_positions}"):
        _video(policy_artifact, config.max_positions / config.tokens_per_second)
    made, _, _ = _video(policy_artifact, (config.max_positions - 9) / config.tokens_per_second)
    assert made.limit < 10
