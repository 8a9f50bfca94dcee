"""An index that is searched while it changes.

    add -> tail (flat) --extend--> base (trained) --rebuild, retune--> base
    search -> base + frozen (the tail that is being merged) + tail -> the best of the three

live_index.py: what others call; state.py: what is shared, under its lock (turn.py); segments.py: the three; worker.py:
the thread that extends, rebuilds and estimates; recall.py: how much is found
"""

from __future__ import annotations

from python_backends.experience.live.live_index import LiveIndex
from python_backends.experience.live.recall import Recall
from python_backends.experience.live.worker import Tuner

__all__ = ["LiveIndex", "Recall", "Tuner"]
