"""The nano's tokenizer: a real `tokenizer.json` of words, call fragments, coordinate bins and single characters.

One token stands for one 7-pixel bin of the view, so a region costs four tokens and its error is counted in bins. A
number is a bin only where JSON puts it (after `[` or a space, before `,` or `]`); digits in a label stay single.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING

from builder.nano.palette import COLOURS, SHAPES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BIN = 7
BINS = tuple(range(0, 169, BIN))

SPECIAL = (
    "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
VISIBLE = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_CALLS = {
    "ZOOM_IN": "region",
    "READ_TEXT": "region",
    "GET_PROPERTIES": "bbox",
    "SEGMENT_OBJECT_AT": "point",
    "TRACK_OBJECT": "init_bbox",
}
FRAGMENTS = (
    *(f'{{"name": "{name}", "arguments": {{"{argument}": [' for name, argument in _CALLS.items()),
    *("]}}", ", ", '{"text": "', '{"color": "', '{"area": ', '{"error": "', '"}', "target_image"),
    *('{"point_2d": [', "]}", '{"left_by": "'),
)
WORDS = (
    *"user assistant system What Which How Where Tell Name Read me is are the of on in written label labels".split(),
    *"text does say have has colour color shape shapes many there largest smallest end object leave leaves".split(),
    *"by left right top bottom picture image show shown a an to which what it kind find Find point at much".split(),
    *"count Count biggest clip video go goes out side gray By Show".split(),
    *COLOURS,
    *SHAPES,
    *(s + "s" for s in SHAPES),
)

_PATTERN = "|".join(
    (
        *(f.replace("{", r"\{").replace("[", r"\[").replace("]", r"\]").replace("}", r"\}") for f in FRAGMENTS),
        r"(?<=[\[ ])(?:" + "|".join(str(b) for b in sorted(BINS, reverse=True)) + r")(?=[,\]])",
        r"\b(?:" + "|".join(sorted(set(WORDS), key=lambda w: (-len(w), w))) + r")\b",
        r"[\s\S]",
    )
)


def vocabulary() -> list[str]:
    """Tokens in the order of their ids."""
    seen: dict[str, None] = {}
    for token in (*SPECIAL, *VISIBLE, "\n", *FRAGMENTS, *(str(b) for b in BINS), *WORDS):
        seen.setdefault(token)
    for char in string.printable[:95]:
        seen.setdefault(char)
    return list(seen)


def build() -> Tokenizer:
    """The tokenizer itself (`tokenizers.Tokenizer`)."""
    from tokenizers import AddedToken, Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    tokens = vocabulary()
    tokenizer = Tokenizer(WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex(_PATTERN), behavior="isolated")
    tokenizer.decoder = Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in VISIBLE])
    return tokenizer


CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
<|im_start|>user
<tool_response>
{% else -%}
<|im_start|>{{ message.role }}
{% endif -%}
{%- if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'text' -%}{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- if message.role == 'tool' -%}
{{ '\\n</tool_response>' }}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def save(directory: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`."""
    import json

    directory.mkdir(parents=True, exist_ok=True)
    build().save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (directory / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
