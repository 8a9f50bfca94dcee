"""What an experience is worth keeping for, and how strongly it should teach."""

from __future__ import annotations

FLOOR = 0.01


def priority(confidence: float, reward: float) -> float:
    """`max(0.4 * (1 - confidence) + 0.4 * |reward|, 0.01)`: surprising and consequential ones stay longest."""
    return max(0.4 * (1 - confidence) + 0.4 * abs(reward), FLOOR)


def learning_rate(confidence: float) -> float:
    """`clip(1e-4 * (1 - confidence), 1e-6, 1e-4)`: recorded with an experience for whoever trains on it."""
    return min(max(1e-4 * (1 - confidence), 1e-6), 1e-4)
