"""Whether tokenizer and model speak the same vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from builder.checkpoints.architecture import Architecture, read_json
from pixelis.errors import BuildError

TURN = ("<|im_start|>", "<|im_end|>")
"""What a turn is written with; the tokens of pictures are in config.json by number."""
_TOGETHER = "Take config.json and tokenizer.json from the same checkpoint."


def check_vocabulary(directory: Path, architecture: Architecture) -> None:
    """Every token has a row in the table, and the tokens that make a conversation are where config.json says.

    Raises:
        BuildError: they do not fit each other, or tokenizer.json is not readable.
    """
    ids = _ids(directory)
    rows = architecture.text.vocabulary
    last = max(ids.values(), default=-1)
    if last >= rows:
        raise BuildError(f"tokenizer.json has a token {last}, and the model {rows} rows for tokens.", mend=_TOGETHER)
    for name in TURN:
        if name not in ids:
            raise BuildError(f"tokenizer.json has no {name}, which begins or ends every turn.", mend=_TOGETHER)
    by_number = {number: name for name, number in ids.items()}
    for name, number in (
        ("<|image_pad|>", architecture.image_token),
        ("<|video_pad|>", architecture.video_token),
        ("<|vision_start|>", architecture.vision_start),
        ("<|vision_end|>", architecture.vision_end),
    ):
        if ids.get(name) != number:
            said = by_number.get(number, "no token")
            message = f"config.json takes token {number} for {name}, which is {said} in tokenizer.json."
            raise BuildError(message, mend=_TOGETHER)
    _check_ends(directory, rows)


def _ids(directory: Path) -> dict[str, int]:
    """Number of every token."""
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    except Exception as error:  # the library raises nothing more particular
        reason = str(error).splitlines()[0][:200]
        raise BuildError(f"tokenizer.json is not readable: {reason}.", mend="Fetch it again.") from None
    return dict(tokenizer.get_vocab(with_added_tokens=True))


def _check_ends(directory: Path, rows: int) -> None:
    path = directory / "generation_config.json"
    if not path.is_file():
        return
    ends: Any = read_json(path).get("eos_token_id")
    for number in ends if isinstance(ends, list) else [ends]:
        if isinstance(number, int) and not 0 <= number < rows:
            message = f"generation_config.json ends turns with token {number}, and the model has {rows}."
            raise BuildError(message, mend="Take it from the same checkpoint.")
