"""The nano's tokenizer loses nothing, and counts a region as four bins."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from builder.nano import tokenizer as nano_tokenizer
from builder.nano.model import VOCABULARY

TOKENIZER = nano_tokenizer.build()


@given(st.text(string.printable[:95] + "\n", max_size=60))
def test_any_ascii_comes_back(text: str) -> None:
    ids = TOKENIZER.encode(text).ids
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text
    assert all(i < VOCABULARY for i in ids)


def test_a_call_is_one_fragment_and_four_bins() -> None:
    call = '<tool_call>\n{"name": "ZOOM_IN", "arguments": {"region": [7, 14, 161, 168]}}\n</tool_call>'
    tokens = TOKENIZER.encode(call).tokens
    assert tokens[2] == '{"name": "ZOOM_IN", "arguments": {"region": ['
    assert [t for t in tokens if t.isdigit()] == ["7", "14", "161", "168"]


def test_digits_of_a_label_stay_characters() -> None:
    assert TOKENIZER.encode('{"text": "A147"}').tokens == ['{"text": "', "A", "1", "4", "7", '"}']


def test_what_the_vocabulary_lacks_is_unknown() -> None:
    assert TOKENIZER.encode("é").tokens == ["<unk>"]
