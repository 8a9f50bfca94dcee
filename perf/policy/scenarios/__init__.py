"""What is measured: one scenario a file, each a function of the bench."""

from __future__ import annotations

from perf.policy.bench import Scenario
from perf.policy.scenarios.agents import agents
from perf.policy.scenarios.arrivals import arrivals
from perf.policy.scenarios.grammar import grammar
from perf.policy.scenarios.image import image
from perf.policy.scenarios.padding import padding
from perf.policy.scenarios.priority import priority
from perf.policy.scenarios.speculation import speculation
from perf.policy.scenarios.stalls import stalls
from perf.policy.scenarios.throughput import throughput
from perf.policy.scenarios.turns import turns

SCENARIOS: dict[str, Scenario] = {
    "throughput": throughput,
    "agents": agents,
    "arrivals": arrivals,
    "stalls": stalls,
    "turns": turns,
    "image": image,
    "priority": priority,
    "grammar": grammar,
    "speculation": speculation,
    "padding": padding,
}
