"""Distances: a way of that length is always there, and on the nano none is shorter."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from python_backends.policy.calls.allowed import Allowed
from python_backends.policy.calls.distance import FAR, NOWHERE, Distances
from python_backends.policy.calls.engine import Engine
from python_backends.policy.calls.forms import Bounds, forms
from python_backends.policy.calls.rules import automaton, lark
from python_backends.policy.calls.shortest import shortest
from python_backends.policy.calls.tree import TokenTree
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.checkpoint import CheckpointConfig
from tests.policy import vocabularies

BOUNDS = Bounds(168, 90, 1)


class Both:
    """The automaton, and llguidance on the same calls."""

    def __init__(self, directory: Path) -> None:
        config = CheckpointConfig.load(directory)
        self.vocabulary = Vocabulary.load(directory, config.vocabulary)
        self.distances = Distances(self.vocabulary, *automaton(forms(BOUNDS)))
        self.all = Allowed(flags=np.ones(config.vocabulary, np.bool_))
        engine = Engine(self.vocabulary, min(config.end_ids))
        self.start = engine.compile(lark(forms(BOUNDS)))

    def allowed(self, matcher: object) -> set[int]:
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)  # type: ignore[attr-defined]
        return set(np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist())

    def within(self, place: int, left: int) -> set[int]:
        return set(np.flatnonzero(self.distances.near(place, self.all, left).flags).tolist())


@pytest.fixture(scope="module", params=("nano", "byte_level"))
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(getattr(vocabularies, request.param)(tmp_path_factory.mktemp(request.param)))


def test_the_automaton_and_llguidance_allow_the_same_tokens(both: Both) -> None:
    """On random walks, as long as nothing has run into a bound that only the expression has."""
    distances, places = both.distances, set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        matcher, place = both.start.deep_copy(), distances.start
        for _ in range(40):
            if place == distances.end:
                break
            allowed, able = both.allowed(matcher), both.within(place, FAR)
            assert allowed <= able
            extra = [both.vocabulary.tokens[token] for token in able - allowed]
            assert all(text.strip(b"0123456789,. ") != text or text[:1] in b'",' for text in extra), extra
            token = int(rng.choice(sorted(allowed)))
            assert matcher.try_consume_tokens([token]) == 1
            place = distances.step(place, both.vocabulary.tokens[token])
            assert place != NOWHERE
            places.add(place)
    assert len(places) > 300


def test_a_shortest_way_is_there_from_everywhere(both: Both) -> None:
    distances = both.distances
    for seed in range(60):
        rng = np.random.default_rng(seed)
        matcher, place = both.start.deep_copy(), distances.start
        for _ in range(int(rng.integers(0, 40))):
            if place == distances.end:
                break
            token = int(rng.choice(sorted(both.allowed(matcher))))
            matcher.try_consume_tokens([token])
            place = distances.step(place, both.vocabulary.tokens[token])
        far = distances.tokens(place)
        assert far < FAR
        while place != distances.end:
            assert 0 < distances.tokens(place) <= far
            nearer = both.within(place, far) & both.allowed(matcher)
            token = int(rng.choice(sorted(nearer)))
            assert matcher.try_consume_tokens([token]) == 1
            place = distances.step(place, both.vocabulary.tokens[token])
            far -= 1
        assert matcher.is_accepting()


def test_no_way_is_shorter(tmp_path: Path) -> None:
    """By trying all tokens, where the end is two or three away."""
    both = Both(vocabularies.nano(tmp_path))
    distances, tokens = both.distances, both.vocabulary.tokens
    tried = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        matcher, place = both.start.deep_copy(), distances.start
        while distances.tokens(place) > 3 and place != distances.end:
            token = int(rng.choice(sorted(both.within(place, FAR) & both.allowed(matcher))))
            matcher.try_consume_tokens([token])
            place = distances.step(place, tokens[token])
        if distances.tokens(place) in (2, 3):
            tried += 1
            assert not _closes(both, matcher, distances.tokens(place) - 1)
    assert tried > 40


def _closes(both: Both, matcher: object, depth: int) -> bool:
    """Whether llguidance comes to the end within `depth` tokens."""
    for token in both.allowed(matcher):
        following = matcher.deep_copy()  # type: ignore[attr-defined]
        following.consume_tokens([token])
        if following.is_accepting() or (depth > 1 and _closes(both, following, depth - 1)):
            return True
    return False


def test_what_no_token_can_finish_is_infinitely_far(tmp_path: Path) -> None:
    """The nano's vocabulary has no bytes beyond ASCII: a character that begins with one is never whole."""
    both = Both(vocabularies.nano(tmp_path))
    place = both.distances.step(both.distances.start, b'{"name":"TEMPORAL_LOCALIZE","arguments":{"query":"\xc3')
    assert both.distances.tokens(place) == FAR
    assert both.distances.tokens(NOWHERE) == FAR


@pytest.mark.parametrize("sides", [(168, 168), (1, 1), (99999, 99999)])
def test_no_end_is_as_far_as_far(sides: tuple[int, int]) -> None:
    """Not even in bytes; a bigger token only brings it nearer."""
    bytes_ = Vocabulary([bytes([byte]) for byte in range(256)], frozenset())
    costs = shortest(TokenTree(bytes_), automaton(forms(Bounds(*sides, 1)))[0])
    assert 80 < max(costs) < FAR / 2


def test_the_shortest_call_of_the_nano(tmp_path: Path) -> None:
    both = Both(vocabularies.nano(tmp_path))
    texts = {text: i for i, text in enumerate(both.vocabulary.tokens)}
    call = [b'{"name": "SEGMENT_OBJECT_AT", "arguments": {"point": [', b"0", b", ", b"7", b"]}}", b"</tool_call>"]
    place = both.distances.start
    for i, text in enumerate(call):
        assert both.distances.tokens(place) == len(call) - i
        assert texts[text] in both.within(place, len(call) - i)
        place = both.distances.step(place, text)
    assert place == both.distances.end
    assert list(islice(both.within(place, FAR), 1)) == []
