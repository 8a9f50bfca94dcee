"""What the gateway counts, in Prometheus' form."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
MEMBERS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Every metric of one gateway process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "pixelis_gateway_request_seconds",
            "From the headers to the last byte of the answer",
            ["route", "outcome"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.members = Histogram(
            "pixelis_gateway_batch_members",
            "Members of a /batch_infer",
            buckets=MEMBERS,
            registry=self.registry,
        )
        self.answers = Counter(
            "pixelis_gateway_answers",
            "Answers of the pipeline, by whether a cache had them",
            ["cache"],
            registry=self.registry,
        )
        self.in_flight = Gauge("pixelis_gateway_in_flight", "Requests that Triton has", registry=self.registry)
        self.waiting = Gauge(
            "pixelis_gateway_waiting", "Requests that wait for their turn", ["class"], registry=self.registry
        )
        ProcessCollector(namespace="pixelis_gateway", registry=self.registry)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return bytes(generate_latest(self.registry))

    def answered(self, from_cache: bool) -> None:
        """The pipeline has answered."""
        self.answers.labels("hit" if from_cache else "miss").inc()

    def requests(self) -> dict[str, dict[str, int]]:
        """route -> outcome -> requests so far."""
        found: dict[str, dict[str, int]] = {}
        for family in self.seconds.collect():
            for sample in family.samples:
                if sample.name.endswith("_count"):
                    found.setdefault(sample.labels["route"], {})[sample.labels["outcome"]] = int(sample.value)
        return found

    def cached(self) -> dict[str, int]:
        """`hit` and `miss` -> answers so far."""
        return {
            sample.labels["cache"]: int(sample.value)
            for family in self.answers.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        }
