"""Models that a repository may do without."""

from __future__ import annotations

import shutil
from pathlib import Path

from pixelis.cache_config import Cached
from pixelis.settings import Limits
from python_backends.caching import Cache
from python_backends.caching.origin import Origins
from python_backends.visual_ops.cached import CODEC, MODELS, OperationCache
from python_backends.visual_ops.pair import PAIR


def test_they_are_used_from_when_all_are_served_until_one_is_gone(tmp_path: Path) -> None:
    served: set[str] = set()
    origins = Origins(tmp_path, lambda model, version: f"{model}-{version}" in served)
    for name in MODELS:
        (tmp_path / name / "1").mkdir(parents=True)
        served.add(f"{name}-1")
    cache = OperationCache(Cache("operation", CODEC, Cached()), origins, Limits())
    before = cache.origin()
    assert before is not None
    for name in PAIR:
        (tmp_path / name / "2").mkdir(parents=True)
    served.add(f"{PAIR[0]}-2")
    assert origins.using(PAIR) == ()  # in the repository, and not loaded yet: all is as before
    assert cache.origin() == before
    served.add(f"{PAIR[1]}-2")
    assert origins.using(PAIR) == PAIR
    with_it = cache.origin()
    assert with_it is not None
    assert with_it.versions == {**before.versions, PAIR[0]: "2", PAIR[1]: "2"}
    (tmp_path / PAIR[0] / "3").mkdir()
    assert origins.using(PAIR) == PAIR
    assert cache.origin() is None  # who answers is not certain now
    shutil.rmtree(tmp_path / PAIR[1])
    assert origins.using(PAIR) == ()
    assert cache.origin() == before
