"""A checkpoint with several views: each picture is seen at the one that fits it, and said where in it things are."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from pixelis.settings import Limits
from python_backends.images import DecodedImages, decode
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats, Views
from python_backends.pipeline.prepare import Prepared, Preparer
from python_backends.pipeline.views import view
from python_backends.policy.profile import Profile
from tests.pipeline.conftest import png
from tests.pipeline.scripted import ScriptedModels, call
from tests.pipeline.test_reason import run

SIZES = [[168, 168], [224, 112], [112, 224]]


class SeeingModels(ScriptedModels):
    """Takes views of any size."""

    seen: list[tuple[int, ...]]

    def vision_tokens(self, views: Views, deadline: float) -> Floats:
        self.seen = [*getattr(self, "seen", []), views.shape[1:3]]
        return np.zeros((len(views), views.shape[1] * views.shape[2] // 28**2, 8), np.float32)


@pytest.fixture
def several(voice: Voice) -> Voice:
    profile = Profile.model_validate({**voice.profile.model_dump(), "view": SIZES})
    return Voice(profile, voice.tokenizer, voice.patch, voice.merge)


def _prepared(voice: Voice, images: Sequence[bytes]) -> Prepared:
    return Preparer(voice.profile, Limits(), DecodedImages())(images, b"What is it?", json.dumps({}).encode())


def test_a_picture_gets_the_view_that_fits_it(several: Voice) -> None:
    assert _prepared(several, [png(336, 168)]).views.shape == (1, 112, 224, 3)
    assert _prepared(several, [png(168, 336)]).views.shape == (1, 224, 112, 3)
    assert _prepared(several, [png(300, 300)]).views.shape == (1, 168, 168, 3)
    together = _prepared(several, [png(336, 168), png(330, 170), png(300, 300)])
    assert together.views.shape == (3, 112, 224, 3), "pictures of one request are of one size"


def test_crops_are_seen_at_their_own_view(several: Voice) -> None:
    """The left half of a wide picture's view is a square of the picture; a coordinate of the crop is of its view."""
    zoom = call("ZOOM_IN", region=[0, 0, 112, 112])
    again = call("ZOOM_IN", region=[0, 0, 84, 168], target_image=2)
    models = SeeingModels(several, [zoom, again, "red"])
    _, outcome = run(models, _prepared(several, [png(336, 168)]))
    assert models.seen == [(112, 224), (168, 168), (224, 112)]
    assert models.grids[-1] == [1, 8, 16, 1, 12, 12, 1, 16, 8]
    assert models.visual == [32, 32 + 36, 32 + 36 + 32]
    assert outcome.actions[0].result["region"] == [0, 0, 168, 168]
    assert outcome.actions[1].result["region"] == [0, 0, 84, 168]


def test_views_may_be_made_as_the_processors_do() -> None:
    from PIL import Image

    pixels = decode(png(336, 168))
    wanted = np.asarray(Image.fromarray(pixels).resize((224, 112), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(view(pixels, (224, 112), "bicubic"), wanted)
