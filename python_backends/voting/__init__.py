"""The vote between the agent's answer and its neighbours' (model: vote).

Ballot -> weights.py (what each voice weighs) -> strategies.py (how voices are counted) -> vote.py -> Verdict
"""

from __future__ import annotations

from python_backends.voting.vote import vote

__all__ = ["vote"]
