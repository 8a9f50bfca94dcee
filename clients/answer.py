"""Answers that a notebook shows: with the pictures that they are about."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PrivateAttr

from pixelis.schema import PipelineResult


class Answer(PipelineResult):
    """A `PipelineResult` that knows its pictures, and equals one that does not.

    As the last expression of a cell it is shown: answer, what was looked at, steps.
    """

    _pictures: tuple[bytes, ...] = PrivateAttr(())

    @classmethod
    def of(cls, result: PipelineResult, pictures: Sequence[bytes] = ()) -> Answer:
        """`result`, about encoded `pictures`; for instance that of a stream's last event."""
        fields = {name: getattr(result, name) for name in PipelineResult.model_fields}
        made = cls.model_construct(result.model_fields_set, **fields)
        made._pictures = tuple(pictures)
        return made

    def __eq__(self, other: object) -> bool:
        """Whether both say the same."""
        return isinstance(other, PipelineResult) and self.model_dump() == other.model_dump()

    def _repr_html_(self) -> str:
        from clients.notebook import page

        return page(self, self._pictures)
