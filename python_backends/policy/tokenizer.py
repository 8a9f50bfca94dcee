"""Text to token ids and back, from `tokenizer.json` alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, SetupError
from pixelis.json_text import reason
from python_backends.policy.checkpoint import CheckpointConfig

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


def opened(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a file. Raises `SetupError` where it holds none."""
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more particular
        raise SetupError(
            f"{path.name} of {path.parent.name} is no tokenizer: {reason(error)}.",
            mend="Take the file of the checkpoint's base model, and build it again.",
        ) from None


class PolicyTokenizer:
    """The tokenizer of a policy artifact.

    Args:
        directory: version folder (or checkpoint) with `tokenizer.json` and `config.json`.

    Attributes:
        end_ids: ids that end a turn.
    """

    def __init__(self, directory: Path) -> None:
        config = CheckpointConfig.load(directory)
        self._tokenizer = opened(directory / "tokenizer.json")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._image_token = config.image_token
        self.end_ids = config.end_ids
        if self._tokenizer.id_to_token(config.image_token) is None:
            raise SetupError(
                f"tokenizer.json has no token {config.image_token}, which config.json calls the image token.",
                mend="Take both files from the same checkpoint.",
            )
        added = self._tokenizer.get_added_tokens_decoder().values()
        self._control = [token.content for token in added if token.special]

    def encode(self, text: str, visual_tokens: Sequence[int] = ()) -> NDArray[np.int64]:
        """Ids of a rendered conversation, the i-th image token repeated `visual_tokens[i]` times.

        Args:
            text: rendered by `conversation`; what a user wrote went through `neutral` first.
            visual_tokens: number of visual tokens of each image, in order.

        Returns:
            ids `[S]`.

        Raises:
            InvalidRequest: `text` has another number of images.
        """
        ids = np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
        is_image = ids == self._image_token
        images = int(is_image.sum())
        if images != len(visual_tokens):
            raise InvalidRequest(f"The text has {images} images, visual tokens were given for {len(visual_tokens)}.")
        times = np.ones(len(ids), np.int64)
        times[is_image] = visual_tokens
        return np.repeat(ids, times)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of `ids`, without control tokens unless asked for."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special))

    def neutral(self, text: str) -> str:
        """`text` from outside, with the names of control tokens broken so that they stay text.

        A question must not be able to end the user's turn or to add an image.
        """
        for token in self._control:
            if token in text:
                text = text.replace(token, token[0] + " " + token[1:])
        return text

    def stream(self) -> TextStream:
        """A decoder for ids that come one at a time."""
        return TextStream(self)


class TextStream:
    """Text of a growing list of ids: a piece is given out once no later token can change it.

    A character of several bytes may take several tokens; until it is whole, nothing of it is shown.
    """

    def __init__(self, tokenizer: PolicyTokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context = 0
        self._shown = 0

    def push(self, *ids: int) -> str:
        """The text that `ids` add; empty while a character is incomplete."""
        self._ids.extend(ids)
        return self._advance(final=False)

    def flush(self) -> str:
        """What is left at the end, an incomplete character included."""
        return self._advance(final=True)

    def _advance(self, final: bool) -> str:
        # The token before the new ones stays in the window: some decoders treat the first one differently.
        before = self._tokenizer.decode(self._ids[self._context : self._shown])
        after = self._tokenizer.decode(self._ids[self._context :])
        if len(after) <= len(before) or (after.endswith(_INCOMPLETE) and not final):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return after[len(before) :]
