"""The bytes of every token, from `tokenizer.json` alone.

Two kinds of tokenizer are known: byte-level BPE (GPT-2's, Qwen's), whose tokens spell bytes with 256 printable
characters, and tokenizers whose decoder only joins (`Fuse`, or none), whose tokens are their own text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelis.errors import SetupError
from pixelis.json_text import read_object, reason

_MEND = 'Say `"grammar": false` in pixelis.json to decode without it.'


@dataclass(frozen=True)
class Vocabulary:
    """What tokens say.

    Attributes:
        tokens: the bytes of each id; empty where the logits are wider than the tokenizer.
        control: ids of special tokens, which are no part of a turn's text.
    """

    tokens: list[bytes]
    control: frozenset[int]

    @classmethod
    def load(cls, directory: Path, size: int) -> Vocabulary:
        """The tokenizer of an artifact whose logits are `size` wide.

        Raises:
            SetupError: its decoder is of a kind that is not known, or it has more ids than logits.
        """
        tokens = [b""] * size
        try:
            found = read_object(directory / "tokenizer.json")
            decode, added = _decoder(found), found.get("added_tokens") or []
            spelt = {token: decode(text) for text, token in found["model"]["vocab"].items()}
            spelt.update({entry["id"]: entry["content"].encode() for entry in added})
            control = frozenset(entry["id"] for entry in added if entry["special"])
            if min(spelt, default=0) < 0:
                raise ValueError("an id below zero")
            for token, text in spelt.items():
                tokens[token] = text
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            what = f"{type(error).__name__} {reason(error)}"
            raise SetupError(f"The tokenizer does not fit the grammar of calls: {what}.", mend=_MEND) from None
        return cls(tokens, control)


def _decoder(found: dict[str, Any]) -> Any:
    kinds = _kinds(found.get("decoder"))
    if "ByteLevel" in kinds:
        table = byte_characters()
        return lambda text: bytes(table[character] for character in text)
    if kinds <= {"Fuse", "Sequence"}:
        return str.encode
    names = ", ".join(sorted(kinds))
    raise SetupError(f"The grammar of calls cannot spell tokens of the decoder {names}.", mend=_MEND)


def _kinds(decoder: dict[str, Any] | None) -> set[str]:
    if not decoder:
        return set()
    inside = (_kinds(part) for part in decoder.get("decoders", []))
    return {decoder["type"]}.union(*inside)


def byte_characters() -> dict[str, int]:
    """Character -> byte of byte-level BPE: printable Latin-1 stands for itself, the rest follows from U+0100 on.

    From `bytes_to_unicode` of GPT-2's encoder (github.com/openai/gpt-2, `src/encoder.py`).
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in plain]
    table.update({chr(0x100 + i): byte for i, byte in enumerate(others)})
    return table
