"""Tool calls that always parse, as vLLM's structured outputs: free text, and after `<tool_call>` the grammar.

A structural tag of xgrammar (>= 0.1.25, vLLM >= 0.11): "triggered tags" let every text come until the trigger, then
what the tag holds, and with `stop_after_first` nothing but the end of the turn.
"""

from __future__ import annotations

import json
from functools import lru_cache

from python_backends.policy.calls.forms import CLOSE, OPEN, Bounds, forms
from python_backends.policy.profile import Profile
from python_backends.policy.vllm.ebnf import grammar

_KEPT = 32
"""Tags that are kept, one for each number of images."""


class Structure:
    """The structural tags of a checkpoint.

    Args:
        profile: the checkpoint's; its dialect says what the tools are called.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._tag = lru_cache(_KEPT)(self._make)

    def tag(self, images: int) -> str | None:
        """The tag of a conversation that has shown `images`, as JSON.

        Without images there is nothing to be called for. xgrammar has no word for "everything but this text", so that
        such a conversation goes unguided: none.
        """
        return self._tag(images) if images else None

    def _make(self, images: int) -> str:
        calls = grammar(list(forms(Bounds.of(self._profile, images), self._profile.dialect)))
        tag = {"type": "tag", "begin": OPEN, "content": {"type": "grammar", "grammar": calls}, "end": CLOSE}
        form = {"type": "triggered_tags", "triggers": [OPEN], "tags": [tag], "stop_after_first": True}
        return json.dumps({"type": "structural_tag", "format": form}, separators=(",", ":"))
