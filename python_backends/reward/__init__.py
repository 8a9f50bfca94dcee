"""The reward of a trajectory (model: reward).

RewardRequest -> task, curiosity (asks `dynamics`), coherence, penalty -> total.py -> Reward
"""

from __future__ import annotations

from python_backends.reward.action import action_embedding
from python_backends.reward.total import Weights, compute

__all__ = ["Weights", "action_embedding", "compute"]
