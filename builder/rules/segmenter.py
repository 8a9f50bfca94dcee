"""A configured segmenter: its two models belong together."""

from __future__ import annotations

from collections.abc import Iterator

from builder.rules.base import Finding, Rule, Subject, error
from pixelis.errors import BuildError
from python_backends.visual_ops.pair import DECODER, PAIR


def together(subject: Subject) -> Iterator[Finding]:
    """The newest versions of both were made of the same two files."""
    if DECODER not in subject.known.names:
        return
    try:
        sources = {subject.store.manifest(name).source_digest for name in PAIR}
    except BuildError:
        return  # `published` says so
    if len(sources) > 1:
        message = f"It was made of other files than {PAIR[0]}, so neither is asked."
        yield error(DECODER, "pair", message, "Run `pixelis build --segmenter DIR`.")


RULES: tuple[Rule, ...] = (together,)
