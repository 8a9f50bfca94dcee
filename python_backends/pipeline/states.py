"""State keys of a trajectory: the retrieval key of the current view and the text so far, before and after each step.

The reward's dynamics network is trained on these and served with these; both sides use this file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixelis.schema import Action, OperationName
from python_backends.deadlines import Job
from python_backends.experience.key import VISUAL_WIDTH, retrieval_key
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.views import RETRIEVAL, Pixels, crop, retrieval_view, view
from python_backends.policy import conversation
from python_backends.policy.profile import Profile
from python_backends.reward.action import image_index

_UNSEEN: Pixels = np.zeros((0, 0, 3), np.uint8)


def state_keys(
    models: Models,
    profile: Profile,
    pictures: Sequence[Pixels],
    question: str,
    actions: Sequence[Action],
    deadline: float,
    visual_weight: float = 0.7,
    first: Floats | None = None,
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

    Raises:
        ServingError: an encoder did not answer.
    """
    texts = state_texts(question, actions, profile)
    # A known first state needs no first view: the pictures are not even decoded for it.
    start = retrieval_view(pictures) if first is None else _UNSEEN
    views, which = state_views(start, pictures, actions)
    known = 0 if first is None else 1
    image = Job(lambda: _visual(models, views[known:], deadline), "embed_image")
    text = models.embed_text(texts[known:], deadline) if len(texts) > known else np.zeros((0, 0), np.float32)
    visual = image.result(deadline)
    if first is None:
        return np.stack([retrieval_key(visual[v], text[t], visual_weight) for t, v in enumerate(which)])
    visual = np.concatenate([first[np.newaxis, :VISUAL_WIDTH], visual])
    later = [retrieval_key(visual[v], text[t], visual_weight) for t, v in enumerate(which[1:])]
    return np.stack([first, *later])


def _visual(models: Models, views: Sequence[Pixels], deadline: float) -> Floats:
    """`[n, 1280]`, of perhaps no view."""
    return models.embed_image(np.stack(views), deadline) if views else np.zeros((0, VISUAL_WIDTH), np.float32)


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


def state_views(first: Pixels, pictures: Sequence[Pixels], actions: Sequence[Action]) -> tuple[list[Pixels], list[int]]:
    """The current view before the first visual step and after each.

    A ZOOM_IN makes its crop the current view; every other operation leaves it as it is.

    Args:
        first: `[224, 224, 3]`, the request's retrieval view.
        pictures: the decoded originals.
        actions: the trajectory.

    Returns:
        Distinct views `[224, 224, 3]`, and for each state (visual steps + 1) the index of its view.
    """
    views, which = [first], [0]
    for action in actions:
        if action.type != "VISUAL_OPERATION":
            continue
        region = action.result.get("region")
        if action.operation is OperationName.ZOOM_IN and action.error is None and region is not None:
            x1, y1, x2, y2 = (float(value) for value in region)
            views.append(view(crop(pictures[image_index(action)], (x1, y1, x2, y2)), RETRIEVAL))
            which.append(len(views) - 1)
        else:
            which.append(which[-1])
    return views, which
