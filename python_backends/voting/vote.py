"""One ballot to one verdict."""

from __future__ import annotations

from collections.abc import Sequence

from pixelis.schema import Ballot, Neighbour, Verdict
from pixelis.settings import Retrieval
from python_backends.voting.strategies import LACK_OF_CONFIDENCE, strategy
from python_backends.voting.weights import Vote, agent_vote, neighbour_votes

CONFIRMED = "confirmed_by_feedback"
NO_NEIGHBOURS = "no_neighbours"
INSUFFICIENT_VOTES = "insufficient_votes"


def vote(ballot: Ballot, config: Retrieval) -> Verdict:
    """Combine the agent's answer with those of its neighbours.

    What a human said about the same picture and question is not put to the vote: a neighbour that feedback confirmed,
    at similarity >= `confirmed_similarity` (0.9999, which a label with another word on it stays under), decides
    outright, whatever the strategy and the number of votes. Less similar ones vote as every neighbour does.

    Args:
        ballot: the agent's answer and confidence, its neighbours, and the strategy.
        config: `min_vote_similarity`, `min_votes`, `confidence_threshold` and `confirmed_similarity` are read.

    Returns:
        The answer in the agent's spelling where the agent is among the winners, else in the heaviest vote's; its
        confidence (0..1); and, where the votes were not counted as asked, the reason: `confirmed_by_feedback` (the
        confirmed answer, at its confidence x similarity, and `decided_by`), `no_neighbours` (none, or none
        similar enough: the agent's answer and confidence stand), `insufficient_votes` (the agent's answer at half
        its confidence), `no_confident_votes`.
    """
    votes = [agent_vote(ballot), *neighbour_votes(ballot, config.min_vote_similarity)]
    confirmed = [n for n in ballot.neighbours if n.confirmed and n.similarity >= config.confirmed_similarity]
    if confirmed:
        return _confirmed(ballot, min(confirmed, key=lambda n: (n.age_hours, n.experience_id)), len(votes))
    if len(votes) == 1:
        return _agent(ballot, NO_NEIGHBOURS, 1.0, len(votes))
    if len(votes) < config.min_votes:
        return _agent(ballot, INSUFFICIENT_VOTES, LACK_OF_CONFIDENCE, len(votes))
    count = strategy(ballot.strategy, config.confidence_threshold)(votes)
    return Verdict(
        answer=_spelling([v for v in votes if v.group == count.group]),
        confidence=count.confidence,
        strategy=ballot.strategy,
        reason=count.reason,
        votes=len(votes),
        share=count.share,
        agreement=count.agreement,
    )


def _confirmed(ballot: Ballot, neighbour: Neighbour, votes: int) -> Verdict:
    return Verdict(
        answer=neighbour.answer,
        confidence=min(neighbour.confidence * neighbour.similarity, 1.0),
        strategy=ballot.strategy,
        reason=CONFIRMED,
        votes=votes,
        decided_by=neighbour.experience_id,
    )


def _agent(ballot: Ballot, reason: str, factor: float, votes: int) -> Verdict:
    return Verdict(
        answer=ballot.answer,
        confidence=ballot.confidence * factor,
        strategy=ballot.strategy,
        reason=reason,
        votes=votes,
        share=ballot.confidence,
        agreement=factor,
    )


def _spelling(winners: Sequence[Vote]) -> str:
    return max(winners, key=lambda v: (v.agent, v.weight, v.answer)).answer
