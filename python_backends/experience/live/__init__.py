"""An index that is searched while it changes.

    add -> tail (flat) --merge, in the background--> base (trained)
    search -> base + frozen (the tail that is being merged) + tail -> the best of the three

live_index.py: the lock and when to merge; segments.py: the three; building.py: the next base; recall.py: how good it is
"""

from __future__ import annotations

from python_backends.experience.live.live_index import LiveIndex
from python_backends.experience.live.recall import Recall

__all__ = ["LiveIndex", "Recall"]
