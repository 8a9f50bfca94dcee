"""What the gateway counts, in Prometheus' form."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from clients.gateway.answers import outcome
from clients.gateway.ledger import Standing
from pixelis.errors import PixelisError

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
MEMBERS = (1, 2, 4, 8, 16, 32, 64, 128)
_PREFIX = "pixelis_gateway"


class Metrics:
    """Every metric of a gateway, whichever of its workers is asked.

    Counters of several workers lie in files that outlive them (`prometheus_client`'s mode for several processes);
    gauges are what the ledger says at the moment, so that a dead worker has none.

    Args:
        counts: the folder of those files, which `PROMETHEUS_MULTIPROC_DIR` names; none = this process alone.
    """

    def __init__(self, counts: Path | None = None) -> None:
        self._counts = counts
        self._registry = CollectorRegistry()
        self.seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "From the headers to the last byte of the answer",
            ["route", "outcome"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.members = Histogram(
            f"{_PREFIX}_batch_members", "Members of a /batch_infer", buckets=MEMBERS, registry=self._registry
        )
        self.answers = Counter(
            f"{_PREFIX}_answers",
            "Answers of the pipeline, by whether a cache had them",
            ["cache"],
            registry=self._registry,
        )
        self.sides = Histogram(
            f"{_PREFIX}_side_seconds",
            "Triton's part of questions, by which Triton it was and how it ended",
            ["side", "outcome"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._hit, self._miss = self.answers.labels("hit"), self.answers.labels("miss")

    def text(self, standing: Standing) -> bytes:
        """Prometheus' text format.

        Args:
            standing: how the gateway stands now.
        """
        shown = CollectorRegistry()
        shown.register(_Given([*self._counted(), *_gauges(standing), *_processes(standing.workers)]))
        return bytes(generate_latest(shown))

    def answered(self, from_cache: bool) -> None:
        """The pipeline has answered."""
        (self._hit if from_cache else self._miss).inc()

    @contextmanager
    def side(self, name: str) -> Iterator[None]:
        """The time during which one of two Tritons has a question."""
        begun, ended = time.perf_counter(), "ok"
        try:
            yield
        except PixelisError as error:
            ended = outcome(error)
            raise
        except BaseException:
            ended = "cancelled"
            raise
        finally:
            self.sides.labels(name, ended).observe(time.perf_counter() - begun)

    def requests(self) -> dict[str, dict[str, int]]:
        """route -> outcome -> requests so far."""
        found: dict[str, dict[str, int]] = {}
        for labels, value in self._samples(f"{_PREFIX}_request_seconds_count"):
            found.setdefault(labels["route"], {})[labels["outcome"]] = int(value)
        return found

    def cached(self) -> dict[str, int]:
        """`hit` and `miss` -> answers so far."""
        return {labels["cache"]: int(value) for labels, value in self._samples(f"{_PREFIX}_answers_total")}

    def _samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        samples = (sample for family in self._counted() for sample in family.samples)
        return [(sample.labels, sample.value) for sample in samples if sample.name == name]

    def _counted(self) -> Iterable[Metric]:
        if self._counts is None:
            return self._registry.collect()
        # One of no bytes is of a worker that begins, or was killed in that moment.
        files = [str(file) for file in self._counts.glob("*.db") if file.stat().st_size]
        return list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]


class _Given:
    """Families that are there already, as a collector."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauges(standing: Standing) -> list[Metric]:
    waiting = GaugeMetricFamily(f"{_PREFIX}_waiting", "Requests that wait for their turn", labels=["class"])
    waiting.add_metric(["urgent"], standing.urgent)
    waiting.add_metric(["ordinary"], standing.ordinary)
    in_flight = GaugeMetricFamily(f"{_PREFIX}_in_flight", "Requests that Triton has", value=standing.in_flight)
    workers = GaugeMetricFamily(f"{_PREFIX}_workers", "Processes that serve", value=len(standing.workers))
    return [in_flight, waiting, workers]


def _processes(workers: dict[str, int]) -> list[Metric]:
    """Time, memory and files of each worker, by its number."""
    found: dict[str, Metric] = {}
    for number, pid in workers.items():
        for family in ProcessCollector(namespace=_PREFIX, pid=partial(int, pid), registry=None).collect():
            one = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                one.add_sample(sample.name, {**sample.labels, "worker": number}, sample.value)
    return list(found.values())
