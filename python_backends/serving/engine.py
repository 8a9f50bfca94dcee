"""Engine models: an artifact, and the requests of one execution as one call of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pixelis.errors import InvalidRequest, PixelisError
from python_backends.adapter import UnaryModel
from python_backends.engine import load_engine
from python_backends.rows import Row, Tensors
from python_backends.tracing import recorder

Shape = tuple[tuple[int, ...], ...]


class Engine(UnaryModel):
    """Runs the artifact of its own version folder."""

    def setup(self) -> None:
        """Load the artifact, within the thread budget of one model."""
        self._engine = load_engine(self.directory, self.threads)
        self._names = [description.name for description in self._engine.inputs]
        self._multiple = int(self.parameters.get("sides_multiple_of", "1"))
        self._channels = [int(count) for count in self.parameters.get("channels", "").split(",") if count]

    def finalize(self) -> None:
        """Let go of the artifact."""
        self._engine.close()

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """Rows of one shape go into one call; another shape is another call."""
        groups: dict[Shape, list[int]] = defaultdict(list)
        answers: dict[int, Tensors | BaseException] = {}
        for i, row in enumerate(rows):
            try:
                groups[tuple(self._shape(row, name) for name in self._names)].append(i)
            except PixelisError as error:
                answers[i] = error
        for members in groups.values():
            answers.update(zip(members, self._run([rows[i] for i in members]), strict=True))
        return [answers[i] for i in range(len(rows))]

    def _shape(self, row: Row, name: str) -> tuple[int, ...]:
        """A row's shape; a picture's sides may have to be multiples of something, which no graph says of itself."""
        shape = row.array(name).shape
        if self._multiple > 1 and any(side < 1 or side % self._multiple for side in shape[:2]):
            raise InvalidRequest(
                f"Input {name} is {shape[1]}x{shape[0]}.", mend=f"Its sides must be multiples of {self._multiple}."
            )
        if self._channels and shape[-1] not in self._channels:
            raise InvalidRequest(
                f"Input {name} has {shape[-1]} channels.", mend=f"It takes {' or '.join(map(str, self._channels))}."
            )
        return shape

    def _run(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        self.metrics.observe("pixelis_engine_batch_rows", len(rows))
        try:
            inputs = {name: np.stack([row.array(name) for row in rows]) for name in self._names}
            with recorder.span("run", shapes={name: array.shape for name, array in inputs.items()}):
                outputs = self._engine.run(inputs)
        except PixelisError as error:
            # One row spoiled the batch: alone, each shows whether it was the one.
            return [error] if len(rows) == 1 else [self._run([row])[0] for row in rows]
        return [{name: array[i] for name, array in outputs.items()} for i in range(len(rows))]
