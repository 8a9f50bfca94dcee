"""Indexes on a GPU: the refusal where there is none, and what is found where there is one."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from pixelis.errors import InvalidRequest, Unavailable
from pixelis.faiss_device import faiss_build, why_no_gpu
from pixelis.index_config import Hnsw, IndexConfig, IvfFlat
from python_backends.experience.indexes.gpu import GpuIndex
from python_backends.experience.live import LiveIndex
from tests.experience.indexes.configs import WIDTH, clustered, recall

STORED, QUERIES = clustered(2000, 1), clustered(50, 2)
here = pytest.mark.skipif(why_no_gpu() is not None, reason=str(why_no_gpu()))


@pytest.mark.skipif(why_no_gpu() is None, reason="there is a GPU")
@pytest.mark.parametrize("config", [IndexConfig(), IndexConfig(index=IvfFlat(lists=8)), None])
def test_without_a_gpu_the_reason_is_said(config: IndexConfig | None) -> None:
    reason = str(why_no_gpu())
    assert faiss_build() in reason
    with pytest.raises(Unavailable, match="No index on a GPU: ") as refused:
        GpuIndex(config, STORED)
    assert reason in str(refused.value)
    assert reason in LiveIndex(IndexConfig(), WIDTH).parameters()["device"]


def test_a_build_for_gpus_without_one_is_another_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    assert str(why_no_gpu()).endswith("finds no GPU.")
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    assert why_no_gpu() is None


@here
def test_on_a_gpu_the_same_is_found() -> None:
    truth = np.argsort(-(QUERIES @ STORED.T), axis=1)[:, :10]
    assert recall(GpuIndex(IndexConfig(), STORED).search(QUERIES, 10), truth) >= 0.999
    assert recall(GpuIndex(IndexConfig(index=IvfFlat(lists=8)), STORED).search(QUERIES, 10, 8), truth) >= 0.999
    with pytest.raises(InvalidRequest, match="stays on the CPU"):
        GpuIndex(IndexConfig(index=Hnsw()), STORED)
