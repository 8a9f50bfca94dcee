"""How a request is made ready."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelis.schema import Sampling
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.request import PolicyRequest, prepare
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
