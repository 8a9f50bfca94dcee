"""How well objects are tracked, in full and adaptively: `python -m perf.ops.track_quality`.

Measures (labels come from what drew the clips):

- `iou`: mean over the frames in which `SEEN` of the thing is to be seen, of the overlap (intersection over union) of
  the box found and of what of the true box is inside the frame; 0 where none was found.
- `recovery`: share of the times at which it was wholly hidden, or out of the frame, and then to be seen again, after
  which a box with an overlap of 0.5 is there within `SOON` frames.
- `false_sights`: share of the frames without any of it in which a box was reported.
- `saved`: share of the processor time of the full look that the adaptive look does without; both look at the same clip
  by turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perf.ops.labels.things import Box
from perf.ops.labels.track_clips import HEIGHT, KINDS, WIDTH, TrackClip, track_clip
from perf.ops.quality_command import ask
from perf.ops.round_trip import round_trip
from perf.ops.tell import tell
from pixelis.operations_config import FULL, Ladder
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.track_object import track_object

SEEN = 0.3
SOON = 3


@dataclass
class Tally:
    """What is summed over clips."""

    overlaps: list[float] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    returns: list[bool] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, clip: TrackClip, boxes: Sequence[list[float] | None]) -> None:
        """Count a clip's boxes."""
        for i, (box, truth, shown) in enumerate(zip(boxes, clip.boxes, clip.shown, strict=True)):
            if i and shown >= SEEN:
                self.overlaps.append(overlap(box, truth) if box else 0.0)
            elif shown == 0:
                self.hidden.append(box is not None)
        for at in _returns(clip.shown):
            soon = range(at, min(at + SOON, len(boxes)))
            self.returns.append(any(overlap(boxes[i] or (0, 0, 0, 0), clip.boxes[i]) >= 0.5 for i in soon))

    def row(self) -> dict[str, float | int | None]:
        """The measures."""
        return {
            "frames": len(self.overlaps),
            "iou": _mean(self.overlaps),
            "recovery": _mean(self.returns),
            "returns": len(self.returns),
            "false_sights": _mean(self.hidden),
            "hidden": len(self.hidden),
            "seconds": round(self.seconds, 3),
        }


def overlap(a: Sequence[float], b: Box) -> float:
    """Intersection over union of `a` and what of `b` is inside the frame."""
    b = (max(b[0], 0.0), max(b[1], 0.0), min(b[2], float(WIDTH)), min(b[3], float(HEIGHT)))
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def measure(seeds: Iterable[int], ladder: Ladder) -> dict[str, Any]:
    """Both looks at the clips of some seeds: measures of all, by kind, and what the adaptive look saved."""
    tallies = {name: {kind: Tally() for kind in ("all", *KINDS)} for name in ("full", "adaptive")}
    for seed in seeds:
        clip = track_clip(seed)
        looks = [("full", FULL), ("adaptive", ladder)]
        for name, used in looks if seed % 2 else looks[::-1]:
            started = time.process_time()
            found = track_object(clip.frames, 0, {"init_bbox": list(clip.boxes[0])}, Effort(used))
            spent = time.process_time() - started
            for kind in ("all", clip.kind):
                tallies[name][kind].add(clip, found["boxes"])
                tallies[name][kind].seconds += spent
    rows = {name: {kind: tally.row() for kind, tally in by.items()} for name, by in tallies.items()}
    full, adaptive = (tallies[name]["all"] for name in ("full", "adaptive"))
    lost = float(np.mean(full.overlaps) - np.mean(adaptive.overlaps))
    return {**rows, "saved": round(1 - adaptive.seconds / full.seconds, 4), "iou_lost": round(lost, 4)}


def _returns(shown: Sequence[float]) -> list[int]:
    """Frames in which half of it is to be seen for the first time after none of it was."""
    at, gone = [], False
    for i, share in enumerate(shown):
        if share == 0:
            gone = True
        elif gone and share >= 0.5:
            at.append(i)
            gone = False
    return at


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    asked = ask("track_quality", __doc__, 90, arguments)
    made = asked.by_set(measure)
    made["real"] = {"full": round_trip(FULL), "adaptive": round_trip(asked.ladder)}
    tell(made, asked.as_json)


if __name__ == "__main__":
    main()
