"""Stop texts across tokens: found as early as they can be, and nothing of them is told before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelis.errors import InvalidRequest
from pixelis.schema import PolicyEvent
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.sampling_stop import StopTexts
from tests.policy.support import Caller, ask, request

TEXTS = st.text(alphabet="abé", max_size=24)


@st.composite
def spelt(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A text and how tokens spell it: cut anywhere, inside characters too."""
    text = draw(TEXTS).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=16)))
    return text, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(case=spelt(), stops=st.lists(st.text(alphabet="abé", min_size=1, max_size=5), min_size=1, max_size=4))
def test_it_finds_what_a_search_of_the_whole_text_finds(case: tuple[bytes, list[bytes]], stops: list[str]) -> None:
    _, tokens = case
    watch, text = StopTexts(Vocabulary(tokens, frozenset()), stops), b""
    for count, piece in enumerate(tokens, 1):
        text += piece
        at = min((text.find(stop.encode()) for stop in stops if stop.encode() in text), default=None)
        assert watch.push(count - 1) == (at is not None)
        if at is not None:
            assert watch.found in stops
            assert watch.text_length == len(text[:at].decode())
            assert text[at:].startswith(str(watch.found).encode())
            return
        settled = b"".join(tokens[: watch.settled])
        rest = text[len(settled) :]
        for stop in stops:  # whatever comes next, no stop text begins in what is settled ...
            for begin in range(len(settled)):
                assert not stop.encode().startswith(text[begin:])
        # ... and not a token more is held back
        following = len(tokens[watch.settled]) if watch.settled < count else 0
        assert not rest or any(
            stop.encode().startswith(text[begin:])
            for stop in stops
            for begin in range(len(settled), len(settled) + max(following, 1))
        )
    assert watch.found is None


def test_control_tokens_are_no_part_of_the_text() -> None:
    vocabulary = Vocabulary([b"EN", b"<|end|>", b"D", b"x"], frozenset({1}))
    watch = StopTexts(vocabulary, ["END"])
    assert [watch.push(token) for token in (3, 0, 1, 2)] == [False, False, False, True]
    assert (watch.found, watch.text_length) == ("END", 1)


def test_of_two_stop_texts_that_one_token_completes_the_first_counts() -> None:
    watch = StopTexts(Vocabulary([b"xabcab"], frozenset()), ["ca", "bc", "ab"])
    assert watch.push(0)
    assert (watch.found, watch.text_length) == ("ab", 1)


@pytest.fixture(scope="module")
def runtime(policy_artifact: Path) -> object:
    with PolicyRuntime(policy_artifact, slots=4, threads=1, max_len=512) as made:
        yield made


def _text(vocabulary: Vocabulary, tokens: list[int]) -> str:
    return b"".join(vocabulary.tokens[t] for t in tokens if t not in vocabulary.control).decode(errors="replace")


def test_a_sequence_ends_with_its_stop_text(runtime: PolicyRuntime, policy_artifact: Path) -> None:
    """Stop texts out of what the policy says by itself, some from the middle of a token to the middle of one."""
    vocabulary = Vocabulary.load(policy_artifact, runtime.config.vocabulary)
    spanning = 0
    for seed in range(12):
        sampled = {"temperature": 1.0, "seed": seed} if seed % 2 else {}
        free = ask(runtime, request(runtime, seed, max_tokens=40, **sampled)).wait()
        text = _text(vocabulary, free.tokens)
        rng = np.random.default_rng(seed)
        begin = int(rng.integers(0, len(text) - 8))
        stop = text[begin : begin + int(rng.integers(1, 8))]
        settings = {"max_tokens": 40, "stop": ["never said", stop], **sampled}
        streamed = ask(runtime, request(runtime, seed, **settings)).wait()
        whole = ask(runtime, request(runtime, seed, stream=False, **settings)).wait()
        assert streamed.tokens == whole.tokens == free.tokens[: len(whole.tokens)]
        np.testing.assert_allclose(streamed.logprobs, whole.logprobs, atol=1e-4)
        at = text.find(stop)
        for caller in (streamed, whole):
            last = caller.last
            assert isinstance(last, PolicyEvent)
            assert (last.finish, last.stop, last.text_length) == ("stop", stop, at)
        assert stop in _text(vocabulary, whole.tokens)
        assert stop not in _text(vocabulary, whole.tokens[:-1])
        before = [t for event in streamed.events[:-1] if isinstance(event, PolicyEvent) for t in event.tokens]
        assert text[: len(_text(vocabulary, before))] in text[:at]
        spanning += len(whole.tokens) - len(before) > 1
        assert len(whole.events) == 1
    assert spanning


def test_what_was_held_back_comes_with_the_end(runtime: PolicyRuntime, policy_artifact: Path) -> None:
    vocabulary = Vocabulary.load(policy_artifact, runtime.config.vocabulary)
    free = ask(runtime, request(runtime, 3, max_tokens=9)).wait()
    text = _text(vocabulary, free.tokens)
    held: Caller = ask(runtime, request(runtime, 3, max_tokens=9, stop=[text + "and more"])).wait()
    assert [len(event.tokens) for event in held.events if isinstance(event, PolicyEvent)] == [9]
    assert (held.tokens, held.finish) == (free.tokens, "length")
    np.testing.assert_allclose(held.logprobs, free.logprobs, atol=1e-4)


def test_a_tokenizer_that_is_not_understood_answers_without_stop_texts(policy_artifact: Path, tmp_path: Path) -> None:
    import json

    for path in policy_artifact.iterdir():
        if path.name not in ("tokenizer.json", "pixelis.json"):
            (tmp_path / path.name).symlink_to(path)
    whole = json.loads((policy_artifact / "tokenizer.json").read_text())
    whole["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    (tmp_path / "pixelis.json").write_text('{"grammar": false}')
    with PolicyRuntime(tmp_path, slots=1, max_len=256) as plain:
        assert ask(plain, request(plain, 1, max_tokens=2)).wait().finish == "length"
        with pytest.raises(InvalidRequest, match="no `stop`"):
            ask(plain, request(plain, 1, stop=["x"]))
