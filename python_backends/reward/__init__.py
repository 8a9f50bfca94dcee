"""The reward of a trajectory (model: reward).

RewardRequest -> steps.py (curiosity asks `dynamics`, past the cache; coherence, penalty), task -> total.py -> Reward
"""

from __future__ import annotations

from python_backends.reward.action import action_embedding
from python_backends.reward.steps import RewardState
from python_backends.reward.total import Weights, compute

__all__ = ["RewardState", "Weights", "action_embedding", "compute"]
