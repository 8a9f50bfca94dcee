"""How well it is told when something is shown, in full and adaptively: `python -m perf.ops.localize_quality`.

Measures (labels come from what made the clips):

- `cuts`: share of the shot boundaries of concatenated clips that are found within `WITHIN` frames; `false_cuts`: number
  of boundaries found elsewhere.
- `within`: share of the true beginnings and ends, those of the clip itself left out, that have one found of the same
  kind within `WITHIN` frames; `error`: the mean distance in frames to the nearest, each `FAR` at most; `false`: share
  of the found ones that have no true one within `WITHIN`.
- `saved`: share of the processor time of the full look that the adaptive look does without; both look at the same clip
  by turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perf.ops.labels.localize_clips import shot_clip, shown_clip
from perf.ops.quality_command import ask
from perf.ops.sides import Models
from perf.ops.tell import tell
from pixelis.operations_config import FULL, Ladder
from pixelis.settings import settings
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.features import Features
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.shots import shots
from python_backends.visual_ops.temporal_localize import temporal_localize

WITHIN = 2
FAR = 10
Edge = tuple[str, int]


@dataclass
class Tally:
    """What is summed over clips."""

    errors: list[int] = field(default_factory=list)
    false: list[bool] = field(default_factory=list)
    frames: int = 0
    looked: int = 0
    seconds: float = 0.0

    def add(self, true: Sequence[Edge], found: Sequence[Edge]) -> None:
        """Count a clip's beginnings and ends."""
        self.errors += [min([FAR, *(abs(at - other) for kind, other in found if kind == side)]) for side, at in true]
        self.false += [all(kind != side or abs(at - other) > WITHIN for kind, other in true) for side, at in found]

    def row(self) -> dict[str, float | int | None]:
        """The measures."""
        errors = np.array(self.errors)
        return {
            "edges": len(errors),
            "within": round(float((errors <= WITHIN).mean()), 4) if len(errors) else None,
            "error": round(float(errors.mean()), 3) if len(errors) else None,
            "false": round(float(np.mean(self.false)), 4) if self.false else None,
            "looked": round(self.looked / max(self.frames, 1), 4),
            "seconds": round(self.seconds, 3),
        }


def measure(seeds: Iterable[int], ladder: Ladder, ocr: Ocr, features: Features) -> dict[str, Any]:
    """Both looks at the clips of some seeds, and the cuts found in them."""
    tallies: dict[str, dict[str, Tally]] = {"full": {}, "adaptive": {}}
    cuts = Tally()
    for seed in seeds:
        made = shot_clip(seed)
        cuts.add([("cut", at) for at in made.cuts], [("cut", at) for at, _ in shots(made.frames)[1:]])
        clip = shown_clip(seed)
        true = edges(clip.spans, len(clip.frames))
        looks = [("full", FULL), ("adaptive", ladder)]
        for name, used in looks if seed % 3 else looks[::-1]:
            effort, started = Effort(used), time.process_time()
            found = temporal_localize(clip.frames, 0, {"query": clip.query, "fps": 1.0}, ocr, features, effort)
            spent = time.process_time() - started
            spans = [(span["start"], span["end"]) for span in found["segments"]]
            for kind in ("all", clip.kind):
                tally = tallies[name].setdefault(kind, Tally())
                tally.add(true, edges(spans, len(clip.frames)))
                tally.frames, tally.looked = tally.frames + len(clip.frames), tally.looked + _looked(found, effort)
                tally.seconds += spent
    rows = {name: {kind: tally.row() for kind, tally in sorted(by.items())} for name, by in tallies.items()}
    full, adaptive = (tallies[name]["all"] for name in ("full", "adaptive"))
    lost = [float((np.array(tally.errors) <= WITHIN).mean()) for tally in (full, adaptive)]
    found_cuts = {"cuts": cuts.row()["within"], "false_cuts": sum(cuts.false), "of": len(cuts.errors)}
    saved = {
        f"saved {kind}": round(1 - tallies["adaptive"][kind].seconds / tallies["full"][kind].seconds, 4)
        for kind in rows["full"]
    }
    return {**rows, **found_cuts, **saved, "within_lost": round(lost[0] - lost[1], 4)}


def edges(spans: Sequence[tuple[int, int]], count: int) -> list[Edge]:
    """Beginnings and ends within a clip of so many frames."""
    starts = [("start", start) for start, _ in spans if start > 0]
    return starts + [("end", end) for _, end in spans if end < count]


def _looked(found: dict[str, Any], effort: Effort) -> int:
    """Frames that were looked at."""
    count = len(found["scores"])
    left = [span.split("-") for what in effort.skipped for span in what.removeprefix("frames ").split(", ")]
    return count - sum(int(span[-1]) - int(span[0]) + 1 for span in left)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; it needs the built models, which run in this process, on one thread."""
    asked = ask("localize_quality", __doc__, 60, arguments)
    models = Models(settings().repository, threads=1)
    tell(asked.by_set(lambda seeds, ladder: measure(seeds, ladder, models.ocr, models.features)), asked.as_json)


if __name__ == "__main__":
    main()
