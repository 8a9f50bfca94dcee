"""The plain pipeline: one question at a time a thread, through the functions that are served."""

from __future__ import annotations

from collections.abc import Sequence

from builder.sources.checkpoint import checkpoint_directory
from perf.plain.models import PlainModels
from pixelis.errors import ServingError
from pixelis.schema import PipelineResult
from pixelis.settings import Settings
from python_backends.images import DecodedImages
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.memory import Voice


class PlainPipeline:
    """Answers questions; safe to call from several threads.

    Args:
        config: as for `PlainModels`.
        threads: intra-op threads of every model.
    """

    def __init__(self, config: Settings, threads: int) -> None:
        self._config = config
        self.models = PlainModels(config, threads)
        self._voice = Voice.load(checkpoint_directory(config.checkpoint))

    def ask(self, images: Sequence[bytes], question: bytes, options: bytes) -> PipelineResult:
        """The same question as to the model `pixelis`.

        Args:
            images: encoded.
            question: UTF-8.
            options: JSON.

        Raises:
            PixelisError: as the served pipeline does.
        """
        # A picture is decoded once a request and forgotten after it.
        decoded = DecodedImages()
        agent = Agent.wire(self.models.for_request(decoded), self._voice, self._config, decoded)
        for event in agent.run(images, question, options, stream=False):
            if event.result is not None:
                return event.result
        raise ServingError("The agent ended without a result.")
