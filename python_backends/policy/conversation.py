"""The text of a conversation, turn by turn, in the Qwen chat form.

A turn only ever appends, so a conversation is rendered piece by piece; a test holds the sum of the pieces equal
to what the checkpoint's own chat template renders. Training (`builder/nano`) and serving both use these functions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pixelis.errors import from_wire
from python_backends.policy.profile import Profile
from python_backends.policy.video import timed_prompt

PAD = "<|image_pad|>"
IMAGE = f"<|vision_start|>{PAD}<|vision_end|>"
"""One image in the text; the tokenizer's single `<|image_pad|>` is repeated once a visual token later."""

END = "<|im_end|>"
GENERATE = "<|im_start|>assistant\n"


Said = tuple[str, str, int]
"""A question that was asked before, its answer, and how many images came with it."""


def opening(
    profile: Profile,
    question: str,
    images: int,
    times: Sequence[float] = (),
    system: str = "",
    history: Sequence[Said] = (),
) -> str:
    """System turn (if any), what was said before, user turn with its images and the question, the generation prompt.

    Args:
        profile: the checkpoint's.
        question: the user's, neutral.
        images: how many, those of `history` among them; what it does not count comes with the question.
        times: seconds of each image, where they are a video's; written before it, as Qwen3-VL reads them. All come
            with the first question.
        system: the caller's, neutral; behind the checkpoint's own.
        history: neutral.
    """
    told = "\n\n".join(text for text in (profile.system, system) if text)
    head = f"<|im_start|>system\n{told}{END}\n" if told else ""
    new = images - sum(count for _, _, count in history)
    shown = [IMAGE * count for count in (*(count for _, _, count in history), new)]
    if times:
        shown = [timed_prompt(times, 1, PAD), *[""] * len(history)]
    before = "".join(
        f"<|im_start|>user\n{seen}{asked}{END}\n{GENERATE}{answer}{END}\n"
        for seen, (asked, answer, _) in zip(shown, history, strict=False)
    )
    return f"{head}{before}<|im_start|>user\n{shown[-1]}{question}{END}\n{GENERATE}"


def tool_call(name: str, arguments: dict[str, Any]) -> str:
    """A call as the policy writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def tool_response(observation: str, images: int = 0) -> str:
    """What follows a call: end of the assistant's turn, the observation as a user turn, the generation prompt."""
    body = IMAGE * images + ("\n" if images and observation else "") + observation
    return f"{END}\n<|im_start|>user\n<tool_response>\n{body}\n</tool_response>{END}\n{GENERATE}"


def observation(profile: Profile, operation: str, result: dict[str, Any], error: str | None = None) -> str:
    """The text that the policy is told of a result: compact JSON, or nothing where only the image speaks.

    Unless the profile asks for it, a mask is left out: its run lengths would fill the context. An error is told without
    its code, which is for programs: to a small policy `invalid_operation` is a word to be read out.
    """
    if error is not None:
        return json.dumps({"error": from_wire(error).message}, ensure_ascii=False)
    if profile.observation_fields is None:
        return json.dumps({name: value for name, value in result.items() if name != "mask"}, ensure_ascii=False)
    chosen = {}
    for name, path in profile.observation_fields.get(operation, {}).items():
        value: Any = result
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        chosen[name] = value
    return json.dumps(chosen, ensure_ascii=False) if chosen else ""
