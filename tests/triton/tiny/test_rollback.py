"""A rollback under load: requests keep coming, the artifact changes under them, and none of them fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc
from numpy.typing import NDArray

from builder.building.build import build
from builder.candidate import Candidate
from builder.storing.chosen import Choice
from builder.storing.rollback import rollback
from pixelis.errors import PixelisError, ServingError, SetupError
from pixelis.settings import Server, Settings
from server.embedded import EmbeddedTriton
from server.loading import load_newest, targets
from tests.builder.conftest import Place, make_place
from tests.builder.tiny import WIDTH, write_weights
from tests.triton.tiny.conftest import GRPC, HTTP, METRICS
from tests.waiting import until

pytestmark = pytest.mark.triton

SAMPLE = np.random.default_rng(1).normal(size=(1, WIDTH)).astype(np.float32)


@dataclass
class Load:
    """Clients that ask without a pause, each with a connection of its own."""

    url: str
    clients: int = 4
    answers: list[NDArray[np.float32]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        tensor = grpc.InferInput("X", [1, WIDTH], "FP32")
        tensor.set_data_from_numpy(SAMPLE)
        with grpc.InferenceServerClient(self.url) as client:
            while not self._stop.is_set():
                try:
                    self.answers.append(client.infer("alpha", [tensor], client_timeout=30).as_numpy("SCORES"))
                except grpc.InferenceServerException as error:
                    self.errors.append(str(error))


@dataclass
class Served:
    """A place with two versions of alpha, and the server of it."""

    place: Place
    config: Settings
    url: str
    expected: dict[int, NDArray[np.float32]]

    def back(self, to: int) -> int:
        """Publish the artifact of version `to` again and have the server load it; the new version."""
        store = self.place.store
        done = rollback("alpha", to, repository=store.repository, state=store.state, spec=self.place.known)
        (loaded,) = load_newest(targets(self.config)[0], ["alpha"], 60)
        assert loaded.version == str(done.version)
        return done.version


@pytest.fixture
def served(tmp_path: Path, nothing_left: None) -> Iterator[Served]:
    place = make_place(tmp_path)
    expected = {}
    for version, seed in ((2, 0), (3, 7)):
        weights = write_weights(tmp_path / "alpha.npy", seed)
        assert not place.build("alpha").failed
        expected[version] = SAMPLE @ np.load(weights)
    server = Server(http_port=HTTP, grpc_port=GRPC, metrics_port=METRICS, exit_timeout_s=2)
    config = Settings(state=place.store.state, repository=place.store.repository, server=server)
    triton = EmbeddedTriton(config=config).start(["alpha"])
    yield Served(place, config, triton.grpc_url, expected)
    triton.stop()


def is_of(answer: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    return bool(np.allclose(answer, expected, rtol=1e-5, atol=1e-6))


@pytest.mark.long
def test_no_request_fails_while_the_artifact_changes(served: Served) -> None:
    old, new = served.expected[2], served.expected[3]
    with Load(served.url) as load:
        assert until(lambda: len(load.answers) > 50 or bool(load.errors))
        assert all(is_of(answer, new) for answer in load.answers)
        for to, expected in ((2, old), (3, new), (2, old)):
            served.back(to)
            mark = len(load.answers) + load.clients  # those that were under way may still be the other artifact's
            assert until(lambda mark=mark: len(load.answers) > mark + 50 or bool(load.errors))
            assert all(is_of(answer, expected) for answer in load.answers[mark:])
    assert load.errors == []
    assert all(is_of(answer, old) or is_of(answer, new) for answer in load.answers), "nothing in between"
    assert served.place.store.latest("alpha") == 6
    (outcome,) = served.place.build("alpha").models
    assert outcome.state == "held"


def test_no_request_fails_while_the_format_changes(served: Served) -> None:
    """From ONNX Runtime to OpenVINO in the same process layout, and back."""
    pytest.importorskip("openvino")
    place, new = served.place, served.expected[3]
    spec = place.known["alpha"].model_copy(update={"candidates": (Candidate(format="openvino"),)})
    known = place.with_model(spec)
    with Load(served.url) as load:
        where = {"repository": place.store.repository, "state": place.store.state, "spec": known}
        forms = {"alpha": Choice(label="openvino-fp32", why="a test")}
        (outcome,) = build(["alpha"], forms=forms, **where).models  # type: ignore[arg-type]
        assert (outcome.version, outcome.candidate) == (4, "openvino-fp32")
        (loaded,) = load_newest(targets(served.config)[0], ["alpha"], 60)
        assert loaded.version == "4"
        mark = len(load.answers)
        assert until(lambda: len(load.answers) > mark + 50 or bool(load.errors))
        assert served.back(3) == 5
        mark = len(load.answers)
        assert until(lambda: len(load.answers) > mark + 50 or bool(load.errors))
    assert load.errors == []
    assert all(is_of(answer, new) for answer in load.answers), "the same weights in either format"


def test_a_version_that_does_not_load_leaves_the_old_one_serving(served: Served) -> None:
    store = served.place.store
    shim = store.shim("alpha")
    shim.write_text("raise RuntimeError('not today')\n")
    rollback("alpha", 2, repository=store.repository, state=store.state, spec=served.place.known)
    with Load(served.url) as load:
        with pytest.raises(ServingError, match=r"(?s)alpha does not load at .*not today.*goes on serving"):
            load_newest(targets(served.config)[0], ["alpha"], 60)
        before = len(load.answers)
        assert until(lambda: len(load.answers) > before + 20 or bool(load.errors))
    assert load.errors == []
    assert is_of(load.answers[-1], served.expected[3])


def test_the_command_finds_the_server_of_its_state_folder(served: Served) -> None:
    store = served.place.store
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "PIXELIS_STATE": str(store.state),
        "PIXELIS_SERVER__HOST": served.config.server.host,
    }

    def load(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pixelis", "models", "load", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    rollback("alpha", repository=store.repository, state=store.state, spec=served.place.known)
    done = load("alpha", "--json")
    assert json.loads(done.stdout) == {"loaded": [{"server": served.url, "model": "alpha", "version": "4"}]}, (
        done.stderr
    )
    assert f"{served.url}: alpha serves version 4" in load("alpha", "--server", served.url).stdout
    unknown = load("gamma")
    assert unknown.returncode == 1
    assert f"error: gamma does not load at {served.url}" in unknown.stderr
    absent = load("alpha", "--server", "127.0.0.1:9")
    assert absent.returncode == 1
    assert "No server answers at 127.0.0.1:9" in absent.stderr
    environment["PIXELIS_STATE"] = str(store.state / "another")
    nobody = load("alpha")
    assert nobody.returncode == 1
    assert "--server HOST:PORT" in nobody.stderr
    refused = load("alpha", "--server", served.url)
    assert refused.returncode == 1, "the key of the server is in its own state folder"


@pytest.mark.slow
def test_no_request_of_perf_analyzer_fails(served: Served, tmp_path: Path) -> None:
    from perf.perf_analyzer import obtain
    from perf.sweep.stamps import stamps
    from pixelis.settings import settings

    try:
        tool = obtain(settings().state)
    except SetupError as error:
        pytest.skip(f"perf_analyzer is not to be had here: {error}")
    requests, export = 10_000, tmp_path / "requests.json"
    arguments = ["-m", "alpha", "-i", "grpc", "-u", served.url, "--concurrency-range", "4:4:1"]
    arguments += ["--request-count", str(requests), "--profile-export-file", str(export)]
    outcome: list[str | PixelisError] = []

    def measure() -> None:
        try:
            outcome.append(tool.run(arguments, 120))
        except PixelisError as error:
            outcome.append(error)

    running = threading.Thread(target=measure)
    running.start()
    time.sleep(1)
    for to in (2, 3, 2):
        served.back(to)
        time.sleep(0.3)
    assert running.is_alive(), "the load went on all the time"  # and goes on: it asks for the newest version's counts
    running.join()
    (report,) = outcome
    assert isinstance(report, str), report
    sent, answered = stamps(export)
    assert len(answered) == len(sent) == requests
