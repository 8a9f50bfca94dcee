"""The calls that vLLM is given are the calls of our own grammar: another language would be another policy."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llguidance.gbnf_to_lark import any_to_lark

from builder.sources.checkpoint import NANO
from python_backends.policy.calls.engine import Engine
from python_backends.policy.calls.forms import CLOSE, OPEN, Bounds, Form, forms
from python_backends.policy.calls.numbers import Counted, whole
from python_backends.policy.calls.pattern import Chars, Choice, Maybe, NotAscii, Pattern, Row, Times
from python_backends.policy.calls.rules import ENDING, SPACE, begins, lark, text
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.profile import Profile
from python_backends.policy.vllm.ebnf import grammar
from python_backends.policy.vllm.structure import Structure

Accepts = Callable[[str], bool]
PROFILE = Profile.load(NANO)
IMAGES = 12
FORMS = list(forms(Bounds.of(PROFILE, IMAGES), PROFILE.dialect))
WRITTEN = 120


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Over single bytes, so that any text can be read."""
    return Engine(Vocabulary([bytes([byte]) for byte in range(256)] + [b"<end>"], frozenset({256})), 256)


@pytest.fixture(scope="module")
def ours(engine: Engine) -> Accepts:
    return accepting(engine, lark(FORMS))


@pytest.fixture(scope="module")
def theirs(engine: Engine) -> Accepts:
    inner = accepting(engine, any_to_lark(grammar(FORMS)))
    return lambda call: call.endswith(CLOSE) and inner(call.removesuffix(CLOSE))


def accepting(engine: Engine, written: str) -> Accepts:
    start = engine.compile(written)

    def accepts(call: str) -> bool:
        matcher = engine.begin(start, call.encode())
        return matcher is not None and matcher.is_accepting()

    return accepts


@singledispatch
def some(pattern: Pattern, rng: np.random.Generator) -> str:
    """One of a pattern's texts."""
    raise TypeError(type(pattern))


@some.register
def _(pattern: Chars, rng: np.random.Generator) -> str:
    return chr(rng.choice(sorted(pattern.allowed)))


@some.register
def _(pattern: NotAscii, rng: np.random.Generator) -> str:
    return str(rng.choice(list("éß漢😀")))


@some.register
def _(pattern: Row, rng: np.random.Generator) -> str:
    return "".join(some(part, rng) for part in pattern.parts)


@some.register
def _(pattern: Choice, rng: np.random.Generator) -> str:
    return some(pattern.parts[rng.integers(len(pattern.parts))], rng)


@some.register
def _(pattern: Maybe, rng: np.random.Generator) -> str:
    return some(pattern.part, rng) if rng.random() < 0.5 else ""


@some.register
def _(pattern: Times, rng: np.random.Generator) -> str:
    count = rng.integers(pattern.least, min(pattern.most, pattern.least + 5) + 1)
    return "".join(some(pattern.part, rng) for _ in range(count))


@some.register
def _(pattern: Counted, rng: np.random.Generator) -> str:
    return some(whole(pattern.base, pattern.count - 1 + pattern.base), rng)


def call(form: Form, rng: np.random.Generator) -> str:
    """A call of this form, its arguments in any order."""
    ((head, _),) = begins([form])
    optional = [pair for pair in sorted(form.optional, key=lambda pair: pair.key) if rng.random() < 0.5]
    pairs = [*sorted(form.needed, key=lambda pair: pair.key), *optional]
    rng.shuffle(pairs)  # type: ignore[arg-type]
    written = [some(pair.pattern, rng) for pair in pairs]
    return some(head, rng) + (some(text(",") + SPACE, rng)).join(written) + some(ENDING, rng) + CLOSE


def calls() -> list[str]:
    rng = np.random.default_rng(0)
    return [call(FORMS[i % len(FORMS)], rng) for i in range(WRITTEN)]


def spoilt(written: str, rng: np.random.Generator) -> str:
    """A character less, more, or another one."""
    at = int(rng.integers(len(written)))
    new = str(rng.choice(list('0129.,:[]{}"ax \n')))
    return written[:at] + str(rng.choice(["", new, new + written[at]])) + written[at + 1 :]


def test_both_take_every_call(ours: Accepts, theirs: Accepts) -> None:
    for written in calls():
        assert ours(written), written
        assert theirs(written), written
        inner = json.loads(written.removesuffix(CLOSE))
        assert set(inner) == {"name", "arguments"}


def test_they_agree_about_calls_with_a_slip(ours: Accepts, theirs: Accepts) -> None:
    rng, refused = np.random.default_rng(1), 0
    for written in calls() * 2:
        wrong = spoilt(written, rng)
        assert ours(wrong) == theirs(wrong), wrong
        refused += not ours(wrong)
    assert refused > WRITTEN


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('{"region": [0, 0, 168, 168]}', True),
        ('{"region": [0, 0, 168, 169]}', False),
        ('{"region": [0, 0, 1, 1], "normalized": true}', True),
        ('{"region": [0, 0, 2, 1], "normalized": true}', False),
        (f'{{"target_image": {IMAGES}, "region": [1, 2, 3, 4]}}', True),
        (f'{{"target_image": {IMAGES + 1}, "region": [1, 2, 3, 4]}}', False),
        ('{"region": [1, 2, 3, 4], "region": [1, 2, 3, 4]}', False),
        ("{}", False),
    ],
)
def test_bounds_are_in_it(theirs: Accepts, arguments: str, right: bool) -> None:
    assert theirs(f'\n{{"name": "ZOOM_IN", "arguments": {arguments}}}\n{CLOSE}') is right


def test_a_tag_for_each_number_of_images_and_none_without() -> None:
    structure = Structure(PROFILE)
    assert structure.tag(0) is None
    one, two = (json.loads(structure.tag(count) or "") for count in (1, 2))
    assert one != two
    form = one["format"]
    assert (form["triggers"], form["stop_after_first"]) == ([OPEN], True)
    assert [tag["begin"] for tag in form["tags"]] == [OPEN]


@pytest.mark.skipif(not importlib.util.find_spec("xgrammar"), reason="pip install --no-deps xgrammar apache-tvm-ffi")
def test_xgrammar_reads_the_tag_as_we_mean_it() -> None:
    import xgrammar  # type: ignore[import-not-found, unused-ignore]

    tag = Structure(PROFILE).tag(IMAGES)
    tokens: list[Any] = [bytes([byte]) for byte in range(1, 256)] + [b"<end>"]
    info = xgrammar.TokenizerInfo(tokens, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[255])
    compiled = xgrammar.GrammarCompiler(info).compile_structural_tag(tag)

    def accepts(turn: str) -> bool:
        matcher = xgrammar.GrammarMatcher(compiled)
        return bool(matcher.accept_string(turn) and matcher.is_completed())

    rng = np.random.default_rng(2)
    ours_reads = accepting(Engine(Vocabulary(tokens, frozenset({255})), 255), lark(FORMS))
    for written in calls():
        assert accepts(f"I look. {OPEN}{written}"), written
        wrong = spoilt(written, rng)
        if not wrong.startswith(written) and CLOSE in wrong:
            assert accepts(OPEN + wrong) == ours_reads(wrong), wrong
    assert accepts("a red one <b>")
    assert not accepts(f"{OPEN}{calls()[0]} and more")


def test_a_folder_of_another_dialect(tmp_path: Path) -> None:
    (tmp_path / "pixelis.json").write_text(json.dumps({"dialect": "deepeyes"}), encoding="utf-8")
    tag = Structure(Profile.load(tmp_path)).tag(1)
    assert tag is not None
    assert "image_zoom_in_tool" in tag
    assert "SEGMENT_OBJECT_AT" not in tag
