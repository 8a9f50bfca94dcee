"""What the policy is told of a call that failed."""

from __future__ import annotations

import json

import pytest

from builder.nano import model as nano
from pixelis.errors import InvalidOperation, Unavailable
from python_backends.policy.conversation import observation
from python_backends.policy.profile import Profile

PROFILE = Profile.model_validate(nano.PROFILE)


@pytest.mark.parametrize(
    "error",
    [
        InvalidOperation("`bbox` is empty: [0, 0, 0, 0]."),
        Unavailable("Model `visual_ops` is not up.", mend="Try again in a moment."),
    ],
)
def test_an_error_is_told_without_its_code(error: InvalidOperation | Unavailable) -> None:
    told = json.loads(observation(PROFILE, "ZOOM_IN", {}, error.wire()))
    assert told == {"error": str(error)}
    assert observation(PROFILE, "ZOOM_IN", {}, str(error)) == observation(PROFILE, "ZOOM_IN", {}, error.wire())
