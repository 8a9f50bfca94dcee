"""Which of an episode's errors are the server's and not the policy's."""

from __future__ import annotations

from pixelis.errors import DeadlineExceeded, ServingError, Unavailable
from pixelis.schema import Action

_OURS = tuple(f"{error.code}: " for error in (ServingError, Unavailable, DeadlineExceeded))
"""How an action's error begins that is the server's fault."""


def ours(action: Action) -> bool:
    """Whether an action failed because a model did not answer."""
    return (action.error or "").startswith(_OURS)
