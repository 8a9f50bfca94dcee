"""What is computed, once, for the operations of a request, and in which order.

Independent operations run side by side, so that their calls of the models are batched together. Equal ones are
computed once. A region inside one that is read too waits for it and is answered from it where its lines fit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pixelis.errors import InvalidOperation, PixelisError, RequestError
from pixelis.operations_config import FULL, Operations
from pixelis.schema import GroupResult, Operation, OperationGroup, OperationName, OperationResult
from python_backends.tracing import recorder
from python_backends.visual_ops.cached import OperationCache
from python_backends.visual_ops.canonical import canonical
from python_backends.visual_ops.features import Features
from python_backends.visual_ops.line import Line
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.operate import ladder_of, operate
from python_backends.visual_ops.pictures import Pictures
from python_backends.visual_ops.read_regions import ReadRegions, is_inside, region_of
from python_backends.visual_ops.seen import Seen
from python_backends.visual_ops.segmenter import Segmenter, no_segmenter
from python_backends.visual_ops.views import Memory
from python_backends.visual_ops.watch import Unwatched, Watch

SIDE_BY_SIDE = 8
"""Operations of a group that run at once: the models' `max_batch_size`."""
WAIT_S = 60.0
"""For somebody else who computes the same, at most."""


@dataclass
class Planner:
    """Runs operations. For any number of threads.

    Attributes:
        ocr: text detection and recognition.
        features: the image encoder.
        operations: at which resolutions they look.
        cache: of results; none = nothing is kept.
        watch: told what was done.
        side_by_side: operations of one group that run at once.
        remember: whether what was read and seen on a picture serves what is asked about it next.
        segmenter: the configured one, asked for when it is needed; may give none.
    """

    ocr: Ocr
    features: Features
    operations: Operations = field(default_factory=Operations)
    cache: OperationCache | None = None
    watch: Watch = field(default_factory=Unwatched)
    side_by_side: int = SIDE_BY_SIDE
    remember: bool = True
    segmenter: Callable[[], Segmenter | None] = no_segmenter
    _read: ReadRegions = field(default_factory=ReadRegions)
    _seen: Seen = field(default_factory=Seen)

    def one(self, pictures: Pictures, operation: Operation) -> OperationResult:
        """One operation.

        Returns:
            The result; what the caller did wrong is its `error`.

        Raises:
            InvalidImage, LimitExceeded: an image that it looks at is none.
            ServingError: a model did not answer; the request may be retried.
        """
        began = time.perf_counter()
        if not pictures.needed(operation):
            refused = InvalidOperation(
                f"image_index {operation.image_index} is out of range: there are {len(pictures)} images."
            )
            return OperationResult(operation=operation.operation, error=str(refused))
        plain = canonical(operation, pictures.size(operation.image_index))
        result, outcome = self._found(pictures, plain)
        self.watch.operated(result, outcome, time.perf_counter() - began)
        return _shown(result, plain)

    def group(self, pictures: Pictures, group: OperationGroup, deadline: float) -> GroupResult:
        """Independent operations on the same images; one that fails is an `error` in its place.

        Args:
            pictures: the images.
            group: the operations, and when what they found is enough.
            deadline: seconds since the epoch.

        Raises:
            DeadlineExceeded: not all was done in time.
        """
        line = Line(group.enough)
        results: dict[int, OperationResult] = {}
        for wave in self._waves(pictures, group.operations):
            results.update(line.run(wave, self._runner(pictures, group.operations), self.side_by_side, deadline))
        left_out = [i for i in range(len(group.operations)) if i not in results]
        self.watch.left_out([group.operations[i] for i in left_out])
        return GroupResult(
            results=[results[i] if i in results else _left_out(one) for i, one in enumerate(group.operations)],
            skipped=left_out,
        )

    def forget(self) -> None:
        """Forget what was read and seen; the cache is cleared by whoever owns it."""
        self._read.clear()
        self._seen.clear()

    def _runner(self, pictures: Pictures, operations: Sequence[Operation]) -> Callable[[int], OperationResult]:
        def run(index: int) -> OperationResult:
            try:
                return self.one(pictures, operations[index])
            except PixelisError as error:
                return OperationResult(operation=operations[index].operation, error=error.wire())

        return run

    def _waves(self, pictures: Pictures, operations: Sequence[Operation]) -> list[list[list[int]]]:
        """Places of the operations in two waves, equal ones together; what lies in another region comes second."""
        equal: dict[str, list[int]] = {}
        plain: dict[str, Operation] = {}
        for i, operation in enumerate(operations):
            spelled = self._plain(pictures, operation)
            name = spelled.model_dump_json()
            equal.setdefault(name, []).append(i)
            plain.setdefault(name, spelled)
        second = {name for name in equal if self.remember and _within_another(plain[name], plain.values())}
        waves = [[places for name, places in equal.items() if (name in second) == later] for later in (False, True)]
        return [wave for wave in waves if wave]

    def _plain(self, pictures: Pictures, operation: Operation) -> Operation:
        try:
            return canonical(operation, pictures.size(operation.image_index))
        except (RequestError, IndexError):  # said when it is run
            return operation

    def _found(self, pictures: Pictures, plain: Operation) -> tuple[OperationResult, str]:
        """The result of an operation in its plain spelling, and where it came from."""
        ladder = FULL if plain.resolution == "full" else ladder_of(plain.operation, self.operations)
        asked = _whole(plain)
        digests = [pictures.digests[i] for i in pictures.needed(plain)]
        picture = self._picture(digests)
        known = self._read.answer(picture, plain) if picture and plain.resolution == "adaptive" else None
        if known is not None:
            return known, "contained"

        def run() -> OperationResult:
            pictures.check(plain)
            with recorder.span(plain.operation.value):
                return operate(pictures.pixels, asked, self.ocr, self.features, ladder, self._memory(), self.segmenter)

        if self.cache is None:
            result, there = run(), False
        else:
            first = asked.model_copy(update={"image_index": 0}) if len(digests) == 1 else asked
            result, there = self.cache.get_or(digests, first, ladder, run, WAIT_S)
        if picture:
            self._read.keep(picture, result)
        return result, "hit" if there else "miss"

    def _memory(self) -> Memory | None:
        """Features of views, by the models that serve now."""
        maker = self._maker()
        return None if maker is None else self._seen.by(maker)

    def _picture(self, digests: Sequence[str]) -> str:
        """A picture's name among those that were read; empty where what is read now is not to be remembered."""
        maker = self._maker() if len(digests) == 1 else None
        return "" if maker is None else f"{digests[0]}:{maker}"

    def _maker(self) -> str | None:
        """What is remembered is named by its models, or is not remembered where these are not certain.

        Versions are in it: with a rollback the same manifest serves again, and what another version made while the
        models changed must not come back with it.
        """
        if not self.remember:
            return None
        if self.cache is None:
            return ""
        origin = self.cache.origin()
        return None if origin is None else f"{sorted(origin.versions.items())}:{origin.digest}"


def _whole(plain: Operation) -> Operation:
    """A reading with its boxes and words, whether or not they were asked for: others may be answered from it."""
    asked = [plain.arguments.get(name) for name in ("return_boxes", "return_words")]
    if region_of(plain) is None or not all(isinstance(value, bool) for value in asked):  # malformed: run it as it is
        return plain
    return plain.model_copy(update={"arguments": {**plain.arguments, "return_boxes": True, "return_words": True}})


def _shown(result: OperationResult, plain: Operation) -> OperationResult:
    """A result without what was not asked for."""
    if plain.operation is not OperationName.READ_TEXT or result.error is not None:
        return result
    hidden = {
        name
        for name, asked in (
            ("box", plain.arguments.get("return_boxes", True)),
            ("words", plain.arguments.get("return_words", False)),
        )
        if not asked
    }
    if not hidden:
        return result
    lines = [{name: value for name, value in line.items() if name not in hidden} for line in result.result["lines"]]
    return result.model_copy(update={"result": {**result.result, "lines": lines}})


def _within_another(operation: Operation, others: Iterable[Operation]) -> bool:
    """Whether a READ_TEXT lies in another one of the same image."""
    region = region_of(operation)
    if region is None:
        return False
    return any(
        (around := region_of(other)) is not None
        and other.image_index == operation.image_index
        and around != region
        and is_inside(region, around)
        for other in others
    )


def _left_out(operation: Operation) -> OperationResult:
    return OperationResult(operation=operation.operation, skipped=["the operation: another one was certain"])
