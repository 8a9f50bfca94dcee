"""Experiences and their index (model: knn).

KnnRequest -> serve.py -> store.py (lock, lease)
                            |- population.py  in memory: by id, by priority, by key (indexes/)
                            `- journal.py     on disk: what changed since the last snapshot.py
"""

from __future__ import annotations

from python_backends.experience.key import WIDTH, retrieval_key
from python_backends.experience.serve import KnnReply, KnnRequest, execute, open_store
from python_backends.experience.store import ExperienceStore, Found

__all__ = [
    "WIDTH",
    "ExperienceStore",
    "Found",
    "KnnReply",
    "KnnRequest",
    "execute",
    "open_store",
    "retrieval_key",
]
