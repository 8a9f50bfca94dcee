"""What the policy has been told so far: prompt ids, visual tokens and frames. It only ever grows at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError, SetupError
from pixelis.json_text import read_object, reason
from pixelis.schema import Options
from python_backends.pipeline.models import Floats
from python_backends.pipeline.spaces import Frame
from python_backends.policy import conversation
from python_backends.policy.geometry import Size
from python_backends.policy.positions import Grid, visual_tokens
from python_backends.policy.profile import Profile
from python_backends.policy.tokenizer import PolicyTokenizer


@dataclass(frozen=True)
class Voice:
    """What it takes to talk to a checkpoint.

    Attributes:
        profile: how it talks.
        tokenizer: its tokenizer.
        patch: pixels of a patch's side.
        merge: patches a visual token covers along one side.
    """

    profile: Profile
    tokenizer: PolicyTokenizer
    patch: int
    merge: int

    @classmethod
    def load(cls, directory: Path) -> Voice:
        """From a policy artifact (or checkpoint) directory. Raises `SetupError` where that is none."""
        profile, tokenizer = Profile.load(directory), PolicyTokenizer(directory)
        try:
            vision = read_object(directory / "config.json")["vision_config"]
            patch, merge = int(vision["patch_size"]), int(vision["spatial_merge_size"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise SetupError(
                f"config.json of {directory.name} does not say what a visual token is: {reason(error)}.",
                mend="Build it again with `pixelis build policy`.",
            ) from None
        return cls(profile, tokenizer, patch, merge)

    def grid(self, view: Size, patches: int = 1) -> Grid:
        """(t, h, w) in patches of a view, or of so many temporal patches of a video."""
        return patches, view[1] // self.patch, view[0] // self.patch

    def visual_tokens(self, view: Size) -> int:
        """Visual tokens of a view."""
        return visual_tokens(self.grid(view), self.merge)


@dataclass
class Memory:
    """A conversation, ready for the policy's next turn."""

    voice: Voice
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    visual: list[Floats] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def open(
        self,
        question: str,
        tokens: Floats,
        frames: Sequence[Frame],
        times: Sequence[float] = (),
        options: Options | None = None,
    ) -> None:
        """The opening: what `options` say was said before, images, each behind its time where `times` (seconds) says
        it, and the question."""
        plain, options = self.voice.tokenizer.neutral, options or Options()
        counts = [said.images for said in options.history]
        if options.media == "video" and counts:  # there is one, and it came first
            counts = [len(frames), *[0] * (len(counts) - 1)]
        history = [
            (plain(said.question), plain(said.answer), count)
            for said, count in zip(options.history, counts, strict=True)
        ]
        text = conversation.opening(
            self.voice.profile, plain(question), len(frames), times, plain(options.system or ""), history
        )
        self._append(text, tokens, frames)

    def said(self, ids: Sequence[int]) -> None:
        """The policy's own turn, as it wrote it."""
        self.ids = np.concatenate([self.ids, np.asarray(ids, np.int64)])

    def told(self, observation: str, tokens: Floats, frames: Sequence[Frame]) -> None:
        """What came of its call: images of new frames, then text."""
        plain = self.voice.tokenizer.neutral(observation)
        self._append(conversation.tool_response(plain, len(frames)), tokens, frames)

    @property
    def grids(self) -> NDArray[np.int32]:
        """`[images * 3]`, the patch grid of every image."""
        return np.array([self.voice.grid(frame.view, frame.patches) for frame in self.frames], np.int32).reshape(-1)

    @property
    def visual_tokens(self) -> Floats:
        """`[n, hidden]`, the visual tokens of all images in order."""
        return np.concatenate(self.visual)

    def _append(self, text: str, tokens: Floats, frames: Sequence[Frame]) -> None:
        """Add rendered text; `tokens` are `[patches, tokens, hidden]` of frames whose views are of one size."""
        each = self.voice.visual_tokens(frames[0].view) if frames else 0
        patches = [frame.patches for frame in frames]
        if len(tokens) != sum(patches) or (len(frames) and tokens.shape[1] != each):
            raise ServingError(
                f"vision_encoder answered {list(tokens.shape)} for {sum(patches)} views of {each} tokens.",
                mend="Build vision_encoder and policy from the same checkpoint.",
            )
        added = self.voice.tokenizer.encode(text, [each * count for count in patches])
        self.ids = np.concatenate([self.ids, added])
        if len(frames):
            self.visual.append(np.ascontiguousarray(tokens.reshape(-1, tokens.shape[-1]), np.float32))
            self.frames.extend(frames)
