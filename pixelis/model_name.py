"""Names of models: `policy.NAME` is the policy of the checkpoint that is called NAME, `policy` the default one's."""

from __future__ import annotations


def base(model: str) -> str:
    """What a model is, whichever checkpoint it was made of: `policy.NAME` is a `policy`."""
    return model.partition(".")[0]
