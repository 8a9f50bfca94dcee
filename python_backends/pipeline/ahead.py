"""States of a trajectory, embedded while the policy writes on: after its last operation nothing more becomes of them.

Each is needed at the end, for the reward. Asked for as soon as it is known, it costs no time where a processor is idle.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial

import numpy as np

from pixelis.errors import PixelisError
from pixelis.schema import Action, StateRows
from python_backends.deadlines import Job
from python_backends.experience.key import TEXT_WIDTH, VISUAL_WIDTH
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.states import Rows, crops_of, state_texts
from python_backends.pipeline.views import Pixels
from python_backends.policy.profile import Profile


class Ahead:
    """Embeds one trajectory's states after the first one.

    Args:
        models: `embed_image` and `embed_text` are called.
        profile: says what the policy was told of each operation.
        pictures: the decoded originals; each is asked for only where a crop of it is looked at.
        question: as asked.
        deadline: seconds since the epoch.
    """

    def __init__(
        self, models: Models, profile: Profile, pictures: Sequence[Pixels], question: str, deadline: float
    ) -> None:
        self._models, self._profile, self._pictures = models, profile, pictures
        self._question, self._deadline = question, deadline
        self._texts: list[Job[Floats]] = []
        self._views: list[Job[Floats]] = []
        self._begun = self._looked = 0

    def begin(self, actions: Sequence[Action]) -> None:
        """Begin with the states that `actions`, the trajectory so far, has more than the last time."""
        texts = state_texts(self._question, actions, self._profile)[1 + self._begun :]
        if not texts:
            return
        self._begun += len(texts)
        self._texts.append(Job(partial(self._models.embed_text, texts, self._deadline), "embed_text"))
        fresh, self._looked = list(actions[self._looked :]), len(actions)
        self._views.append(Job(partial(self._seen, fresh), "embed_image"))

    def _seen(self, actions: Sequence[Action]) -> Floats:
        views = crops_of(self._pictures, actions)
        return self._models.embed_image(np.stack(views), self._deadline) if views else _none(VISUAL_WIDTH)

    def rows(self, deadline: float) -> StateRows | None:
        """All of them; none where an encoder failed or is late, or there are no states: whoever needs them asks again.

        Args:
            deadline: how long they are waited for.
        """
        if not self._begun:
            return None
        try:
            text = [job.result(deadline) for job in self._texts]
            visual = [job.result(deadline) for job in self._views]
        except PixelisError:
            return None
        return StateRows(text=_packed(np.concatenate(text)), visual=_packed(np.concatenate(visual)))


def unpacked(rows: StateRows) -> Rows:
    """As they were packed.

    Raises:
        ValueError: they are no such rows.
    """
    return Rows(_unpacked(rows.text, TEXT_WIDTH), _unpacked(rows.visual, VISUAL_WIDTH))


def _none(width: int) -> Floats:
    return np.zeros((0, width), np.float32)


def _packed(rows: Floats) -> str:
    return base64.b64encode(np.ascontiguousarray(rows, "<f4").tobytes()).decode("ascii")


def _unpacked(text: str, width: int) -> Floats:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(-1, width)
