"""Typed wire objects: every JSON object that crosses a door is one of these.

Their JSON Schema is published under `docs/schema.json` (`make docs` writes it, a test holds it equal).

base.py            what all have in common: keys, whose something is, how large a number may be
parsing.py         JSON to one of them, or a refusal that says what is known
token_choice.py    how tokens are chosen: of options.py (who asks) and sampling.py (the policy, and what it writes)
operations.py      visual operations, and what they find
experiences.py     past episodes and the steps of their trajectories; as they vote, neighbours
voting.py          what `vote` takes and gives; the same: rewards.py, knn.py, residency.py
steps.py           what the steps of the ensemble hand to one another
results.py         what a question is answered; the events of `agent`
measurement.py     what measuring commands print
published.py       those of docs/schema.json

Modules that hold models do without `from __future__ import annotations`: pydantic would compile each annotation from
its text, whenever a process starts.
"""

from __future__ import annotations

from pixelis.schema.base import MAX_COUNT, MAX_SEED, Count, Tenant
from pixelis.schema.experiences import Action, Experience, Neighbour
from pixelis.schema.knn import Judgement, KnnCommand, KnnResult
from pixelis.schema.measurement import Claim, Measurement
from pixelis.schema.operations import Box, GroupResult, Operation, OperationGroup, OperationName, OperationResult
from pixelis.schema.options import CallerOptions, Exchange, Options
from pixelis.schema.parsing import misfit, parse_as
from pixelis.schema.published import PUBLISHED, json_schema
from pixelis.schema.residency import ResidencyCommand, ResidencyResult, Resident
from pixelis.schema.results import Event, Finish, PipelineResult, Provenance, Usage
from pixelis.schema.rewards import Reward, RewardRequest, RewardStep
from pixelis.schema.sampling import PolicyEvent, Sampling
from pixelis.schema.steps import PROBE_ID, AgentOutcome, PreparedRequest, RecallOutcome, StateRows
from pixelis.schema.token_choice import TokenChoice
from pixelis.schema.voting import Ballot, Strategy, Verdict

__all__ = [
    "MAX_COUNT",
    "MAX_SEED",
    "PROBE_ID",
    "PUBLISHED",
    "Action",
    "AgentOutcome",
    "Ballot",
    "Box",
    "CallerOptions",
    "Claim",
    "Count",
    "Event",
    "Exchange",
    "Experience",
    "Finish",
    "GroupResult",
    "Judgement",
    "KnnCommand",
    "KnnResult",
    "Measurement",
    "Neighbour",
    "Operation",
    "OperationGroup",
    "OperationName",
    "OperationResult",
    "Options",
    "PipelineResult",
    "PolicyEvent",
    "PreparedRequest",
    "Provenance",
    "RecallOutcome",
    "ResidencyCommand",
    "ResidencyResult",
    "Resident",
    "Reward",
    "RewardRequest",
    "RewardStep",
    "Sampling",
    "StateRows",
    "Strategy",
    "Tenant",
    "TokenChoice",
    "Usage",
    "Verdict",
    "json_schema",
    "misfit",
    "parse_as",
]
