"""Step one: limits, decoding, the policy's views, the digest, and the request's clock."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, LimitExceeded
from pixelis.schema import Options, PreparedRequest
from pixelis.settings import Limits
from python_backends.images import DecodedImages
from python_backends.pipeline.encoded import about, digest, unwrap
from python_backends.pipeline.looks import KeptLooks, Look
from python_backends.pipeline.showing import Showing
from python_backends.pipeline.views import Pixels, retrieval_view, view
from python_backends.policy.profile import Profile


@dataclass(frozen=True)
class Prepared:
    """What the other steps need of a request.

    Attributes:
        request: checked options and clock.
        images: the encoded images, unwrapped; of a video, its frames.
        views: `[n, H, W, 3]` uint8, the policy's view of each image that it is shown (`Showing`).
        retrieval_view: `[224, 224, 3]` uint8.
    """

    request: PreparedRequest
    images: list[bytes]
    views: NDArray[np.uint8]
    retrieval_view: NDArray[np.uint8]


class Preparer:
    """Turns what came in into a `Prepared`.

    Args:
        profile: the checkpoint's; its view size counts.
        limits: what a request may carry.
        decoded: the process's decoded pictures.
        kept: what was made of images before; none = nothing is kept.
    """

    def __init__(self, profile: Profile, limits: Limits, decoded: DecodedImages, kept: KeptLooks | None = None) -> None:
        self._profile = profile
        self._limits = limits
        self._decoded = decoded
        self._kept = kept or KeptLooks(0)

    def __call__(
        self,
        elements: Sequence[bytes],
        question: bytes,
        options: bytes | None,
        request_id: str = "",
        arrived: float | None = None,
    ) -> Prepared:
        """Check and prepare one request.

        Args:
            elements: the `IMAGE` tensor's elements.
            question: UTF-8.
            options: JSON, or nothing for the defaults.
            request_id: the client's; an empty one is made up.
            arrived: when it came, where it has waited since; its time runs from there (seconds since the epoch).

        Raises:
            InvalidRequest: options or question are malformed, or there is no image.
            InvalidImage: bytes that are not a picture.
            LimitExceeded: too many bytes, pixels, frames or characters.
        """
        started = time.time() if arrived is None else arrived
        clock = time.perf_counter()
        parsed = self._timed(Options.parse(options))
        asked = self._question(question)
        images = unwrap(elements, self._limits, parsed.media)
        named = digest(images)
        look = self._look(images, named, parsed)
        if parsed.media != "video":
            _require_enough(parsed, len(images))
        request = PreparedRequest(
            request_id=request_id or uuid.uuid4().hex,
            question=asked,
            options=parsed,
            digest=named,
            sizes=look.sizes,
            started_at=started,
            deadline=started + parsed.timeout_s,
            elapsed_ms=round(1000 * (time.perf_counter() - clock), 3),
        )
        return Prepared(request, images, look.views, look.retrieval_view)

    def _look(self, images: Sequence[bytes], named: str, options: Options) -> Look:
        seen = Showing.of(len(images), options, self._profile).indexes
        key = (named, options.media, tuple(seen))
        found = self._kept.get(key)
        if found is None:
            found = self._looked(images, options, seen)
            self._kept.put(key, found)
        return found

    def _looked(self, images: Sequence[bytes], options: Options, seen: Sequence[int]) -> Look:
        pictures = [self._decode(image, i) for i, image in enumerate(images)]
        if options.media == "video":
            _require_one_size(pictures)
        sizes = [(pixels.shape[1], pixels.shape[0]) for pixels in pictures]
        size = self._profile.fitting([sizes[i] for i in seen])
        views = np.stack([view(pictures[i], size, self._profile.resampling) for i in seen])
        return Look(sizes, views, retrieval_view(pictures))

    def _timed(self, options: Options) -> Options:
        """Frames in pairs whose rate is not said are as far apart as the checkpoint reads a video."""
        if options.media == "images" or self._profile.video == "frames" or "fps" in options.model_fields_set:
            return options
        return options.model_copy(update={"fps": self._profile.video_fps})

    def _question(self, question: bytes) -> str:
        if len(question) > self._limits.question_bytes:
            raise LimitExceeded(
                f"The question has {len(question)} bytes; at most {self._limits.question_bytes} are allowed.",
                mend="Shorten it.",
            )
        try:
            text = question.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise InvalidRequest("The question is not UTF-8.", mend="Send it as UTF-8 text.") from None
        if not text:
            raise InvalidRequest("The question is empty.", mend="Ask something about the image.")
        return text

    def _decode(self, image: bytes, index: int) -> Pixels:
        with about(index):
            return self._decoded.get(image)


def _require_enough(options: Options, images: int) -> None:
    counted = sum(said.images for said in options.history)
    if counted > images:
        raise InvalidRequest(
            f"`history` counts {counted} images, and the request has {images}.",
            mend="Send all images of the conversation, in order.",
        )


def _require_one_size(frames: Sequence[Pixels]) -> None:
    sizes = sorted({f"{frame.shape[1]}x{frame.shape[0]}" for frame in frames})
    if len(sizes) > 1:
        raise InvalidRequest(
            f"The frames of the video have different sizes: {', '.join(sizes[:4])}.",
            mend="Send frames of one size, or separate images (`media` `images`).",
        )
