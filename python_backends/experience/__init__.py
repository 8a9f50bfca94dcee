"""Experiences and their index (model: knn).

KnnRequest -> serve.py -> store.py (lock)
                            `- ledger.py: entry.py -> records.py (what it does)
                                 |- memory.py    population.py: by id, by priority, by key (live/, indexes/); asked.py
                                 `- database/    SQLite; the log of all entries
                          keeper.py    beside the writes: snapshot.py
                          opening.py   at start: snapshot + log; recovery.py where something is damaged
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
