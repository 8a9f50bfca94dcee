"""Limits, decoding, views and the clock."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from pixelis.cache_config import Cache
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded, PixelisError
from pixelis.settings import Limits
from python_backends.images import DecodedImages, decode
from python_backends.pipeline.encoded import digest, unwrap
from python_backends.pipeline.looks import KeptLooks, Look
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared, Preparer
from python_backends.pipeline.views import crop, retrieval_view, shown, view
from tests.pipeline.conftest import png

SMALL = Limits(image_bytes=250_000, image_pixels=60_000, frames=2, question_bytes=20)


def test_a_prepared_request(prepare: Callable[..., Prepared]) -> None:
    images = [png(336, 168), png(100, 50, seed=1)]
    prepared = prepare(images, "  What is it?\n", timeout_s=7)
    request = prepared.request
    assert request.question == "What is it?"
    assert request.sizes == [(336, 168), (100, 50)]
    assert request.deadline == pytest.approx(request.started_at + 7)
    assert abs(request.started_at - time.time()) < 5
    assert prepared.views.shape == (2, 168, 168, 3)
    assert prepared.retrieval_view.shape == (224, 224, 3)
    assert request.digest == digest(images)


def test_the_client_names_the_request_or_it_gets_a_name(voice: Voice) -> None:
    preparer = Preparer(voice.profile, Limits(), DecodedImages())
    assert preparer([png()], b"?", None, "mine").request.request_id == "mine"
    assert preparer([png()], b"?", None).request.request_id != preparer([png()], b"?", None).request.request_id


def test_the_same_images_are_looked_at_once(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = DecodedImages()
    preparer = Preparer(voice.profile, Limits(), decoded, KeptLooks(2**20))
    first = preparer([png(), png(40, 30)], b"?", None)
    monkeypatch.setattr(decoded, "get", lambda data: pytest.fail("decoded again"))
    again = preparer([png(), png(40, 30)], b"another question", b'{"k": 1}')
    assert again.request.sizes == first.request.sizes
    np.testing.assert_array_equal(again.views, first.views)
    np.testing.assert_array_equal(again.retrieval_view, first.retrieval_view)
    monkeypatch.undo()
    swapped = preparer([png(40, 30), png()], b"?", None)
    np.testing.assert_array_equal(swapped.views[0], first.views[1])
    video = preparer([png(), png()], b"?", b'{"media": "video"}')
    assert video.request.sizes == [first.request.sizes[0]] * 2


def test_looks_are_kept_within_their_bytes() -> None:
    kept = KeptLooks(1000)
    looks = [Look([(1, 1)], np.zeros(size, np.uint8), np.zeros(100, np.uint8)) for size in (300, 300, 300, 2000)]
    for name, look in zip("abcd", looks, strict=True):
        kept.put((name, "images", (0,)), look)
        kept.get(("a", "images", (0,)))
    assert [kept.get((name, "images", (0,))) is not None for name in "abcd"] == [True, False, True, False]
    assert not looks[0].views.flags.writeable
    assert KeptLooks.of(Cache(cache_size=0)).get(("a", "images", (0,))) is None


@pytest.mark.parametrize(
    ("images", "question", "options", "error", "says"),
    [
        ([], b"q", b"{}", InvalidRequest, "no image"),
        ([png(10, 10)] * 3, b"q", b"{}", LimitExceeded, "at most 2"),
        ([b""], b"q", b"{}", InvalidImage, "Image 0: The image is empty"),
        ([b"GIF89a"], b"q", b"{}", InvalidImage, "JPEG, PNG or WebP"),
        ([png(10, 10), png(50, 50)[:-30]], b"q", b"{}", InvalidImage, "Image 1"),
        ([png(300, 300)], b"q", b"{}", LimitExceeded, "bytes"),
        ([b"https://example.org/a.png"], b"q", b"{}", InvalidImage, "never fetched"),
        ([b"data:text/plain;base64,QQ=="], b"q", b"{}", InvalidImage, "base64 image URL"),
        ([b"data:image/png;base64,???"], b"q", b"{}", InvalidImage, "not base64"),
        ([b"data:image/png;base64," + b"A" * 400_000], b"q", b"{}", LimitExceeded, "bytes"),
        ([png(10, 10)], b"", b"{}", InvalidRequest, "empty"),
        ([png(10, 10)], b" \n", b"{}", InvalidRequest, "empty"),
        ([png(10, 10)], b"\xff", b"{}", InvalidRequest, "UTF-8"),
        ([png(10, 10)], b"q" * 21, b"{}", LimitExceeded, "at most 20"),
        ([png(10, 10)], b"q", b'{"kk": 1}', InvalidRequest, "max_operations"),
        ([png(10, 10)], b"q", b'{"k": 1000}', InvalidRequest, "`k`"),
        ([png(10, 10)], b"q", b"[]", InvalidRequest, "OPTIONS"),
        ([png(10, 10)], b"q", b"{", InvalidRequest, "OPTIONS"),
    ],
)
def test_each_bad_input_has_its_own_error(
    voice: Voice, images: list[bytes], question: bytes, options: bytes, error: type[PixelisError], says: str
) -> None:
    preparer = Preparer(voice.profile, SMALL, DecodedImages(limits=SMALL))
    with pytest.raises(error) as raised:
        preparer(images, question, options)
    assert type(raised.value) is error
    assert says in str(raised.value)


def test_pixels_are_limited_too(voice: Voice) -> None:
    limits = Limits(image_pixels=99)
    with pytest.raises(LimitExceeded, match="100 pixels"):
        Preparer(voice.profile, limits, DecodedImages(limits=limits))([png(10, 10)], b"q", None)


def moving(kind: str, frames: int = 3, colour: str = "red") -> bytes:
    """A disc that goes right on white, 4 pixels a frame."""
    pictures = [Image.new("RGB", (40, 30), "white") for _ in range(frames)]
    for i, picture in enumerate(pictures):
        picture.paste(colour, (4 * i, 5, 4 * i + 8, 13))
    out = io.BytesIO()
    pictures[0].save(out, kind, save_all=True, append_images=pictures[1:])
    return out.getvalue()


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "PNG"])
def test_an_animation_is_a_video(prepare: Callable[..., Prepared], kind: str) -> None:
    data = moving(kind)
    prepared = prepare([data, png(40, 30)], media="video")
    assert prepared.request.sizes == [(40, 30)] * 4
    assert prepared.images == unwrap([data, png(40, 30)], Limits(), "video")
    assert prepared.request.digest == digest(prepared.images)
    reds = [np.flatnonzero(decode(image)[8, :, 1] < 80) for image in prepared.images[:3]]
    assert [(red[0], red[-1]) for red in reds] == [(0, 7), (4, 11), (8, 15)]
    with pytest.raises(InvalidImage, match=r"Image 1: The image is animated\. .*`media` is `video`"):
        prepare([png(), data])


def test_frames_of_all_animations_count(voice: Voice) -> None:
    limits = Limits(frames=4)
    preparer, options = Preparer(voice.profile, limits, DecodedImages(limits=limits)), b'{"media": "video"}'
    assert len(preparer([moving("GIF", 2), moving("GIF", 2)], b"q", options).images) == 4
    with pytest.raises(LimitExceeded, match="5 frames; at most 4"):
        preparer([moving("GIF", 2), moving("GIF", 3)], b"q", options)
    with pytest.raises(LimitExceeded, match="Image 1: The animation has 5 frames; at most 4"):
        preparer([moving("GIF", 2), moving("GIF", 5)], b"q", options)
    with pytest.raises(InvalidImage, match="Image 0: The image is damaged"):
        preparer([moving("GIF", 2)[:-9]], b"q", options)


def test_a_data_url_is_the_same_image(prepare: Callable[..., Prepared]) -> None:
    image = png()
    url = b"data:image/png;base64," + base64.b64encode(image)
    assert unwrap([url], Limits()) == [image]
    assert prepare([url]).request.digest == prepare([image]).request.digest


def test_the_digest_knows_where_an_image_ends() -> None:
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])
    assert digest([b"a", b"b"]) != digest([b"b", b"a"])


def test_views_are_stretched_and_crops_are_never_empty() -> None:
    pixels = decode(png(336, 168))
    assert view(pixels, (168, 84)).shape == (84, 168, 3)
    assert np.array_equal(view(pixels, (336, 168)), pixels)
    assert crop(pixels, (10, 20, 30, 50)).shape == (30, 20, 3)
    assert crop(pixels, (400, 400, 500, 500)).shape == (1, 1, 3)
    assert crop(pixels, (5, 5, 5, 5)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("count", "media", "video_frames", "frames"),
    [
        (10, "images", 1, list(range(10))),
        (10, "video", 1, [0]),
        (10, "video", 4, [0, 3, 6, 9]),
        (3, "video", 8, [0, 1, 2]),
        (64, "video", 8, [0, 9, 18, 27, 36, 45, 54, 63]),
        (1, "video", 1, [0]),
    ],
)
def test_which_frames_the_policy_is_shown(
    count: int, media: Literal["images", "video"], video_frames: int, frames: list[int]
) -> None:
    assert shown(count, media, video_frames) == frames


def test_a_video_has_few_views_and_all_its_frames(voice: Voice) -> None:
    profile = voice.profile.model_copy(update={"video_frames": 3})
    preparer = Preparer(profile, Limits(), DecodedImages())
    frames = [png(seed=i) for i in range(7)]
    prepared = preparer(frames, b"?", b'{"media": "video"}')
    assert prepared.views.shape == (3, 168, 168, 3)
    assert (len(prepared.images), len(prepared.request.sizes)) == (7, 7)
    assert np.array_equal(prepared.views[1], view(decode(frames[3]), (168, 168)))
    assert np.array_equal(prepared.retrieval_view, retrieval_view([decode(frame) for frame in frames]))
    assert preparer(frames, b"?", None).views.shape == (7, 168, 168, 3)


def test_the_retrieval_view_is_the_mean_over_frames() -> None:
    black, white = np.zeros((300, 300, 3), np.uint8), np.full((100, 50, 3), 255, np.uint8)
    assert np.unique(retrieval_view([black, white])).tolist() == [128]
    assert np.array_equal(retrieval_view([white]), np.full((224, 224, 3), 255, np.uint8))


def test_the_clock_of_a_request_that_has_waited_runs_from_its_arrival(voice: Voice) -> None:
    preparer = Preparer(voice.profile, Limits(), DecodedImages())
    request = preparer([png()], b"?", b'{"timeout_s": 10}', "", 1000.0).request
    assert (request.started_at, request.deadline) == (1000.0, 1010.0)


def test_the_frames_of_a_video_are_of_one_size(voice: Voice) -> None:
    preparer = Preparer(voice.profile, Limits(), DecodedImages())
    pictures = [png(40, 20), png(20, 40)]
    with pytest.raises(InvalidRequest, match=r"different sizes: 20x40, 40x20\. Send frames of one size"):
        preparer(pictures, b"?", b'{"media": "video"}')
    assert preparer(pictures, b"?", b'{"media": "images"}').request.sizes == [(40, 20), (20, 40)]
