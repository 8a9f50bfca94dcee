"""How the policy is shown what a request came with: pictures one by one, a video's frames alone or in pairs.

In pairs a video reads as the checkpoint's family reads it: see `policy.video`. `prepare` makes the views, `reason`
says what they are; both go by the same `Showing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Options
from python_backends.pipeline.spaces import Frame
from python_backends.pipeline.views import shown
from python_backends.policy.geometry import Size
from python_backends.policy.profile import Profile
from python_backends.policy.video import Sampling, frames_by_ends, frames_by_step, seconds_per_patch, timestamps

_PAIR = 2


@dataclass(frozen=True)
class Showing:
    """Which images or frames of a request the policy sees, and as what.

    Attributes:
        indexes: of the request's images, in order; of pairs the last one is repeated where they are odd.
        pairs: whether two of them are one temporal patch.
        times: seconds of each pair, which is an image of its own; none = the pairs are one image together.
        patch_seconds: seconds from one pair to the next, of such an image.
    """

    indexes: list[int]
    pairs: bool = False
    times: tuple[float, ...] = ()
    patch_seconds: float | None = None

    @classmethod
    def of(cls, count: int, options: Options, profile: Profile) -> Showing:
        """What is seen of `count` images or frames.

        Args:
            count: images or frames of the request.
            options: what they are, and how many of a video's are a second.
            profile: the checkpoint's.
        """
        if options.media == "images" or profile.video == "frames":
            return cls(shown(count, options.media, profile.video_frames))
        sampling = Sampling(fps=profile.video_fps, most=profile.video_frames, temporal=_PAIR)
        if profile.times == "text":
            chosen = frames_by_ends(count, options.fps, sampling)
            return cls(_filled(chosen), pairs=True, times=tuple(timestamps(chosen, options.fps)))
        chosen = frames_by_step(count, options.fps, sampling) if count >= _PAIR else [0]
        read = len(chosen) / count * options.fps
        return cls(_filled(chosen), pairs=True, patch_seconds=seconds_per_patch(read))

    def frames(self, sizes: Sequence[Size], view: Size) -> list[Frame]:
        """What each image of the conversation shows; of frames that are one image, the first of them.

        Args:
            sizes: of the request's images.
            view: (width, height) that the policy sees of each.
        """
        step = len(self.indexes) if self.pairs and not self.times else _PAIR if self.pairs else 1
        patches = max(step // _PAIR, 1)
        return [Frame(i, (0, 0, *sizes[i]), view, patches=patches) for i in self.indexes[::step]]

    def seen(self, views: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Views `[n, H, W, 3]` as `vision_encoder` takes them: pairs `[n / 2, H, W, 6]`, one behind the other."""
        return np.concatenate([views[::_PAIR], views[1::_PAIR]], axis=-1) if self.pairs else views


def _filled(frames: list[int]) -> list[int]:
    return [*frames, *frames[-1:] * (len(frames) % _PAIR)]
