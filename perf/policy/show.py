"""The measurement for people."""

from __future__ import annotations

from perf.tables import print_measurement
from pixelis.schema import Measurement

TITLES = {
    "throughput": "Tokens a second, closed loop (medians over rounds; in brackets the least and the most)",
    "roofline": "What the arithmetic alone allows",
    "agents": "Tokens a second of agents, whose turns go on from one another",
    "agreement": "Token for token as transformers",
    "arrivals": "Open loop, Poisson arrivals",
    "stalls": "Gaps between tokens of steady streams",
    "turn": "Turns of a conversation",
    "image": "A second question on the same image",
    "priority": "High priority under overload",
    "grammar": "The grammar of tool calls",
    "speculation": "Speculation, one request at a time",
    "padding": "Padding of prefill batches",
    "absent": "Not measured",
}


def show(measured: Measurement) -> None:
    """Print tables and claims on stdout."""
    print_measurement(measured, TITLES)
