"""State keys of a trajectory: the retrieval key of the current view and the text so far, before and after each step.

The reward's dynamics network is trained on these and served with these; both sides use this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pixelis.schema import Action, Box, OperationName
from python_backends.deadlines import Job
from python_backends.experience.key import TEXT_WIDTH, VISUAL_WIDTH, retrieval_key
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.views import RETRIEVAL, Pixels, crop, retrieval_view, view
from python_backends.policy import conversation
from python_backends.policy.profile import Profile
from python_backends.reward.action import image_index


class Rows(NamedTuple):
    """Embeddings of the states after the first one: of each text, and of each view that was not seen before."""

    text: Floats
    visual: Floats


def state_keys(
    models: Models,
    profile: Profile,
    pictures: Sequence[Pixels],
    question: str,
    actions: Sequence[Action],
    deadline: float,
    visual_weight: float = 0.7,
    first: Floats | None = None,
    later: Rows | None = None,
) -> Floats:
    """State keys `[visual steps + 1, 1664]`, every distinct view and text embedded once.

    Args:
        models: `embed_image` and `embed_text` are called.
        profile: says what the policy was told of each operation.
        pictures: the decoded originals; each is asked for only where it is looked at.
        question: as asked.
        actions: the trajectory.
        deadline: seconds since the epoch.
        visual_weight: share of the visual side of a key.
        first: the request's retrieval key, where it is known and whole: it is the first state, and its visual side
            is the embedding of the first view.
        later: what was embedded ahead; taken where it is of as many texts and views as there are.

    Raises:
        ServingError: an encoder did not answer.
    """
    texts = state_texts(question, actions, profile)
    zooms, which = _looks(actions)
    if later is not None and (len(later.text), len(later.visual)) != (len(texts) - 1, len(zooms)):
        later = None
    # What is known needs no view: the pictures are not even decoded for it.
    start = [] if first is not None else [retrieval_view(pictures)]
    fresh = [] if later is not None else _crops(pictures, zooms)
    visual, text = _embedded(
        models,
        [*start, *fresh],
        [*([] if first is not None else texts[:1]), *([] if later is not None else texts[1:])],
        deadline,
    )
    if later is not None:
        visual, text = np.concatenate([visual, later.visual]), np.concatenate([text, later.text])
    if first is None:
        return np.stack([retrieval_key(visual[v], text[t], visual_weight) for t, v in enumerate(which)])
    visual = np.concatenate([first[np.newaxis, :VISUAL_WIDTH], visual])
    return np.stack([first, *(retrieval_key(visual[v], text[t], visual_weight) for t, v in enumerate(which[1:]))])


def _embedded(models: Models, views: Sequence[Pixels], texts: Sequence[str], deadline: float) -> tuple[Floats, Floats]:
    """`[views, 1280]` and `[texts, 384]`, side by side; of perhaps none."""
    image = Job(lambda: models.embed_image(np.stack(views), deadline), "embed_image") if views else None
    text = models.embed_text(texts, deadline) if texts else np.zeros((0, TEXT_WIDTH), np.float32)
    return np.zeros((0, VISUAL_WIDTH), np.float32) if image is None else image.result(deadline), text


def state_texts(question: str, actions: Sequence[Action], profile: Profile) -> list[str]:
    """The text so far before the first visual step and after each: question, thoughts, and what the policy was told.

    Returns:
        visual steps + 1 texts.
    """
    texts = [question]
    so_far = question
    for action in actions:
        if action.type == "REASONING":
            so_far += f"\n{action.text}"
        elif action.type == "VISUAL_OPERATION":
            name = action.operation.value if action.operation else ""
            told = conversation.observation(profile, name, action.result, action.error)
            so_far += f"\n{name} {told}".rstrip()
            texts.append(so_far)
    return texts


def crops_of(pictures: Sequence[Pixels], actions: Sequence[Action]) -> list[Pixels]:
    """The views `[224, 224, 3]` that some actions of a trajectory brought: a ZOOM_IN makes its crop the current view.

    Args:
        pictures: the decoded originals.
        actions: in order.
    """
    return _crops(pictures, _looks(actions)[0])


def _looks(actions: Sequence[Action]) -> tuple[list[tuple[int, Box]], list[int]]:
    """Image and region of each new view after the first one; for each state (visual steps + 1) the index of its view.

    Every operation but ZOOM_IN leaves the view as it is.
    """
    zooms: list[tuple[int, Box]] = []
    which = [0]
    for action in actions:
        if action.type != "VISUAL_OPERATION":
            continue
        region = action.result.get("region")
        if action.operation is OperationName.ZOOM_IN and action.error is None and region is not None:
            x1, y1, x2, y2 = (float(value) for value in region)
            zooms.append((image_index(action), (x1, y1, x2, y2)))
            which.append(len(zooms))
        else:
            which.append(which[-1])
    return zooms, which


def _crops(pictures: Sequence[Pixels], zooms: Sequence[tuple[int, Box]]) -> list[Pixels]:
    return [view(crop(pictures[index], region), RETRIEVAL) for index, region in zooms]
