"""Every model × format × precision is either built or excluded with a reason."""

from __future__ import annotations

from collections.abc import Iterator

from builder.candidate import FORMATS, PRECISIONS, FormatName
from builder.model_spec import ModelSpec
from builder.tolerance import Precision


def uncovered(spec: ModelSpec) -> Iterator[tuple[FormatName, Precision]]:
    """Pairs of which the spec says nothing; a model without an artifact has none."""
    if not spec.built:
        return
    for name in FORMATS:
        for precision in PRECISIONS:
            if (name == "files") != (precision == "none") or (name == "files" and spec.format != "files"):
                continue  # `files` have no precision, and a network is never files
            candidates = any((c.format, c.precision) == (name, precision) for c in spec.all_candidates)
            excluded = any(e.format == name and e.precision in (None, precision) for e in spec.exclusions)
            if not candidates and not excluded:
                yield name, precision


def contradictions(spec: ModelSpec) -> Iterator[str]:
    """Labels that are both built and excluded."""
    for candidate in spec.all_candidates:
        if any(exclusion.covers(candidate) for exclusion in spec.exclusions):
            yield candidate.label
