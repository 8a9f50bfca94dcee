"""The agent's hands and eyes: it runs an operation, and makes of the result what the policy is told and shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import DeadlineExceeded, PixelisError
from pixelis.schema import Action, Operation, OperationName, OperationResult, PreparedRequest, StateRows
from python_backends.deadlines import Job
from python_backends.images import DecodedImages
from python_backends.pipeline.ahead import Ahead
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.shares import STATES, Stopwatch, reasoning, share
from python_backends.pipeline.spaces import Frame, result_to_view
from python_backends.pipeline.views import crop, view
from python_backends.policy import conversation
from python_backends.policy.profile import Profile

_OVER_FRAMES = (OperationName.TRACK_OBJECT, OperationName.TEMPORAL_LOCALIZE)

NOTHING = np.zeros((0, 0, 0), np.float32)
"""The visual tokens of no image."""


@dataclass
class Acting:
    """What happens outside the policy in one request.

    Attributes:
        models: the sibling models.
        profile: the checkpoint's.
        decoded: the process's decoded pictures.
        images: encoded, unwrapped.
        request: as `prepare` made it.
        embeds: whether the trajectory's states are embedded as they come about.
        watch: time spent, by model.
        actions: the trajectory so far.
    """

    models: Models
    profile: Profile
    decoded: DecodedImages
    images: Sequence[bytes]
    request: PreparedRequest
    embeds: bool = False
    watch: Stopwatch = field(default_factory=Stopwatch)
    actions: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        pictures = self.decoded.lazily(self.images)
        self._ahead = Ahead(self.models, self.profile, pictures, self.request.question, self.request.deadline)

    @property
    def deadline(self) -> float:
        """Seconds since the epoch."""
        return reasoning(self.request)

    def look_ahead(self, actions: Sequence[Action]) -> None:
        """Begin to embed the states of `actions`, the trajectory so far, that have not begun."""
        if self.embeds:
            self._ahead.begin(actions)

    def states(self) -> StateRows | None:
        """The states that were embedded ahead; waited for as long as `finish` would."""
        return self._ahead.rows(share(self.request.deadline, STATES))

    def see(self, views: NDArray[np.uint8]) -> Floats:
        """Visual tokens `[n, tokens, hidden]` of the policy's views `[n, H, W, 3]`."""
        started = time.perf_counter()
        tokens = self.models.vision_tokens(views, self.deadline)
        self.watch.add("vision_encoder", started)
        return tokens

    def begin(self, operations: Sequence[Operation]) -> list[Job[OperationResult] | None]:
        """Run the operations of one call side by side; a single one waits until it is its turn."""
        if len(operations) < 2:
            return [None for _ in operations]
        return [Job(partial(self._ask, operation), "visual_ops") for operation in operations]

    def operate(self, operation: Operation, text: str, begun: Job[OperationResult] | None = None) -> OperationResult:
        """Run an operation and add it to the trajectory, also where `visual_ops` is down: the result's error says so.

        Args:
            operation: in pixels of the original.
            text: the call as the policy wrote it.
            begun: from `begin`, where it is under way.

        Raises:
            DeadlineExceeded: the request's time ran out.
        """
        started, late = time.perf_counter(), None
        try:
            result = self._ask(operation) if begun is None else begun.result(self.deadline)
        except PixelisError as error:
            late = error if isinstance(error, DeadlineExceeded) else None
            result = OperationResult(operation=operation.operation, error=error.wire())
        self.watch.add("visual_ops", started)
        arguments = dict(operation.arguments)
        if operation.image_index:
            arguments["image_index"] = operation.image_index
        self.actions.append(
            Action(
                type="VISUAL_OPERATION",
                operation=operation.operation,
                arguments=arguments,
                result=result.result,
                error=result.error,
                text=text,
                elapsed_ms=result.elapsed_ms,
                resolution=result.resolution,
                looks=result.looks,
                skipped=result.skipped,
            )
        )
        if late is not None:
            raise late
        return result

    def _ask(self, operation: Operation) -> OperationResult:
        return self.models.operate(*self._needed(operation), self.deadline)

    def _needed(self, operation: Operation) -> tuple[Sequence[bytes], Operation]:
        """The images that an operation looks at: of 64 frames only one travels, unless it is about time."""
        if operation.operation in _OVER_FRAMES:
            arguments = {"fps": self.request.options.fps, **operation.arguments}
            return self.images, operation.model_copy(update={"arguments": arguments})
        return [self.images[operation.image_index]], operation.model_copy(update={"image_index": 0})

    def told(self, result: OperationResult, frame: Frame) -> str:
        """The observation's text, its coordinates in the image that the call was about."""
        shown = result_to_view(result.result, frame, self.profile.coordinates)
        return conversation.observation(self.profile, result.operation.value, shown, result.error)

    def frames(self, operation: Operation, result: OperationResult) -> list[Frame]:
        """The crop that a ZOOM_IN shows, where the checkpoint takes it as an image."""
        region = result.result.get("region")
        zoomed = operation.operation is OperationName.ZOOM_IN and result.error is None
        if region is None or not zoomed or not self.profile.crop_as_image:
            return []
        x1, y1, x2, y2 = (float(value) for value in region)
        return [Frame(operation.image_index, (x1, y1, x2, y2), self.profile.view, whole=False)]

    def sized(self, frames: Sequence[Frame]) -> list[Frame]:
        """Crops that are shown together, at the view that fits them best."""
        if not frames:
            return []
        regions = [frame.region for frame in frames]
        size = self.profile.fitting([(max(x2 - x1, 1), max(y2 - y1, 1)) for x1, y1, x2, y2 in regions])
        return [replace(frame, view=size) for frame in frames]

    def crops(self, frames: Sequence[Frame]) -> Floats:
        """Visual tokens of crops of one view's size, cut from the originals at full resolution."""
        if not frames:
            return NOTHING
        cut = [crop(self.decoded.get(self.images[frame.image_index]), frame.region) for frame in frames]
        sizes = [frame.view for frame in frames]
        shown = [view(pixels, size, self.profile.resampling) for pixels, size in zip(cut, sizes, strict=True)]
        return self.see(np.stack(shown))
