"""Tokens that come twice are told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelis.errors import ServingError
from pixelis.schema import PolicyEvent
from python_backends.channel.packet import Packet
from python_backends.pipeline.arrivals import Arrivals

TURN = list(range(100, 140))
LOGPROBS = [-i / 100 for i in range(40)]
WHOLE = PolicyEvent(tokens=TURN, logprobs=LOGPROBS, finish="stop")


def packet(first: int, count: int) -> Packet:
    return Packet("a", first, TURN[first : first + count], LOGPROBS[first : first + count])


packets = st.builds(packet, st.integers(0, 39), st.integers(0, 12))


@given(st.lists(st.one_of(packets, st.none()), max_size=60))
def test_whatever_is_lost_or_comes_twice_every_token_is_told_once(sent: list[Packet | None]) -> None:
    rings: list[None] = []
    arrivals, told = Arrivals(lambda: rings.append(None)), PolicyEvent()
    for one in sent:
        if one is not None:
            arrivals.take(one)
            continue
        news = arrivals.news()
        told.tokens += news.tokens
        told.logprobs += news.logprobs
    rest = arrivals.rest(WHOLE)
    assert told.tokens + rest.tokens == TURN
    assert told.logprobs + rest.logprobs == LOGPROBS
    assert rest.finish == "stop"
    assert len(rings) == sum(one is not None for one in sent)


def test_a_lossless_channel_leaves_nothing_for_the_end() -> None:
    arrivals = Arrivals(lambda: None)
    for i in range(40):
        arrivals.take(packet(i, 1))
        assert arrivals.news().tokens == [TURN[i]]
    assert arrivals.rest(WHOLE).tokens == []


def test_a_turn_that_does_not_begin_as_was_told_is_refused() -> None:
    arrivals = Arrivals(lambda: None)
    arrivals.take(Packet("a", 0, [100, 7], [-0.1, -0.1]))
    assert arrivals.rest(WHOLE) == WHOLE  # nothing was told yet
    arrivals.news()
    with pytest.raises(ServingError, match="not those of its turn"):
        arrivals.rest(WHOLE)
    with pytest.raises(ServingError):
        arrivals.rest(PolicyEvent(tokens=[100], logprobs=[-0.1], finish="cancelled"))
