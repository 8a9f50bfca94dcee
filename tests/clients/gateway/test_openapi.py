"""The OpenAPI document against the gateway: what it allows or forbids is answered as it says, never by a fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn

from clients.gateway.reference import document
from pixelis.schema import CallerOptions
from tests.clients.gateway.conftest import PORT, ask

pytestmark = pytest.mark.triton

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed (make setup-dev)")
def test_schemathesis_finds_nothing(gateway: uvicorn.Server, tmp_path: Path) -> None:
    # Before the echoing Triton `/health` is 503, which is no fault.
    url = f"http://127.0.0.1:{PORT}/openapi.json"
    # What is not checked: a text that the document allows may still be no picture, and is refused then.
    chosen = [
        "--exclude-checks",
        "positive_data_acceptance",
        "--exclude-path",
        "/health",
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "8",
    ]
    command = [str(SCHEMATHESIS), "run", url, *chosen, "--generation-deterministic", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout.partition("FAILURES")[2][:4000] + done.stderr[-1000:]
    assert "Tested: 8" in done.stdout


def test_the_document_has_every_option(gateway: uvicorn.Server) -> None:
    found = ask("/openapi.json")[2]
    assert found == document()
    paths = found["paths"]
    content = paths["/infer"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    for one in content.values():
        assert set(CallerOptions.model_fields) < set(one["schema"]["properties"])
        assert "tenant" not in one["schema"]["properties"]
    assert set(paths) == {
        "/infer",
        "/batch_infer",
        "/feedback",
        "/v1/chat/completions",
        "/v1/models",
        "/v1/events/{request_id}",
        "/health",
        "/metrics",
        "/stats",
    }
