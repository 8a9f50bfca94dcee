"""A changed version is not served, by whichever way it would come to be loaded. Ports of conftest.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as grpc

from builder.storing.rollback import rollback
from pixelis.errors import IntegrityError, from_wire
from pixelis.settings import Server, Settings
from server.embedded import EmbeddedTriton
from server.launch import KEY_NAME
from server.loading import load_newest, targets
from tests.builder.conftest import Place, make_place
from tests.builder.tiny import WIDTH, write_weights
from tests.published_version import flip
from tests.triton.tiny.conftest import GRPC, HTTP, METRICS
from tests.waiting import until

pytestmark = pytest.mark.triton

SAMPLE = np.ones((1, WIDTH), np.float32)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """alpha in versions 2 and 3."""
    made = make_place(tmp_path_factory.mktemp("place"))
    for seed in (0, 7):
        write_weights(made.root / "alpha.npy", seed)
        assert not made.build("alpha").failed
    return made


@pytest.fixture
def triton(place: Place, nothing_left: None) -> Iterator[EmbeddedTriton]:
    server = Server(http_port=HTTP, grpc_port=GRPC, metrics_port=METRICS, exit_timeout_s=2)
    server.watchdog_interval_s = 1
    config = Settings(state=place.store.state, repository=place.store.repository, server=server)
    running = EmbeddedTriton(config=config)
    yield running
    running.stop()


def answer(triton: EmbeddedTriton) -> str:
    """The version that answers."""
    tensor = grpc.InferInput("X", [1, WIDTH], "FP32")
    tensor.set_data_from_numpy(SAMPLE)
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        return str(client.infer("alpha", [tensor], client_timeout=20).get_response().model_version)


def test_what_was_changed_is_not_loaded_and_the_old_version_goes_on(triton: EmbeddedTriton, place: Place) -> None:
    triton.start(["alpha"])
    done = rollback("alpha", repository=place.store.repository, state=place.store.state, spec=place.known)
    flip(place.store.folder("alpha", done.version) / "model.onnx")
    with pytest.raises(IntegrityError, match=r"Version 4 of alpha .*model\.onnx"):
        load_newest(targets(triton.config)[0], ["alpha"], 30)
    key = {f"triton-grpc-protocol-{KEY_NAME}": triton.key}
    with grpc.InferenceServerClient(triton.grpc_url) as client, pytest.raises(grpc.InferenceServerException) as caught:
        client.load_model("alpha", headers=key)  # by Triton's own API: the model's process says the same
    said = from_wire(str(caught.value.message()))
    assert isinstance(said, IntegrityError)
    assert "Version 4 of alpha" in str(said)
    assert answer(triton) == "3"
    back = rollback("alpha", 3, repository=place.store.repository, state=place.store.state, spec=place.known)
    (loaded,) = load_newest(targets(triton.config)[0], ["alpha"], 30)
    assert loaded.version == answer(triton) == str(back.version) == "5"


def test_a_dead_model_whose_files_were_changed_is_not_repaired(triton: EmbeddedTriton, place: Place) -> None:
    from server.stubs import find

    triton.start(["alpha"])
    assert triton.health is not None
    health = triton.health["alpha"]
    artifact = place.store.folder("alpha", 3) / "model.onnx"
    whole = artifact.read_bytes()
    flip(artifact)
    for stub in find(triton.server_id)["alpha"]:
        os.kill(stub.pid, 9)
    assert until(lambda: health.state == "dead", 20)
    assert "Version 3 of alpha is not what was published: model.onnx" in str(health.reason)
    artifact.write_bytes(whole)
    assert until(lambda: health.state == "healthy", 30)
    assert answer(triton) == "3"


def test_the_setting_reaches_the_model_s_process(triton: EmbeddedTriton, place: Place) -> None:
    (place.store.folder("alpha", 3) / "more.bin").touch()
    with pytest.raises(IntegrityError, match=r"more\.bin is not in the manifest"):
        triton.start(["alpha"])
    assert not triton.log.exists(), "nothing was started"
    triton.config.server.verify = False
    triton.start(["alpha"])
    assert answer(triton) == "3"
