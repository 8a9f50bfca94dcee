"""Images by address through the gateway, from a real HTTP server of this machine that a setting lets it reach."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import picture
from tests.clients.gateway.conftest import Served, ask

pytestmark = pytest.mark.triton

PNG = picture(7)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files; `/slow` takes two seconds."""

    def log_message(self, *said: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(2)
        super().do_GET()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """The address of a folder with pictures."""
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "large.png").write_bytes(b"x" * 300_000)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_images_by_address_in_every_form(gateways: Served, host: str) -> None:
    url = f"http://{host}/a.png"
    coded = base64.b64encode(PNG).decode()
    with gateways(image_hosts=[host], image_networks=["127.0.0.0/8"]):
        status, _, found = ask("/infer", {"images": [url, coded], "question": "?", "timeout_s": 9})
        assert (status, found["provenance"]["reasons"]) == (200, [hashlib.sha256(PNG).hexdigest()] * 2)
        members = [{"image": one, "question": "?"} for one in (url, f"http://{host}/none", coded)]
        found = ask("/batch_infer", {"requests": members})[2]
        assert [one["status"] for one in found["answers"]] == [200, 400, 200]
        content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]
        said = {"messages": [{"role": "user", "content": content}]}
        status, _, found = ask("/v1/chat/completions", said)
        assert (status, found["pixelis"]["provenance"]["reasons"]) == (200, [hashlib.sha256(PNG).hexdigest()])


def test_what_is_not_fetched_has_its_reason(gateways: Served, host: str) -> None:
    def answer(path: str, **rest: Any) -> tuple[int, str, str]:
        status, _, found = ask("/infer", {"image": f"http://{host}/{path}", "question": "?", **rest})
        return status, found["error"]["code"], found["error"]["message"]

    with gateways(image_hosts=[host]):  # as in production: the list alone opens nothing inward
        status, code, said = answer("a.png")
        assert (status, code) == (400, "invalid_request")
        assert "not a public one" in said
    with gateways(image_hosts=[host], image_networks=["127.0.0.0/8"]):
        assert answer("none.png")[:2] == (400, "invalid_image")
        assert answer("large.png")[:2] == (413, "limit_exceeded")
        assert answer("slow", timeout_s=1)[:2] == (504, "deadline_exceeded")
    with gateways():
        status, code, said = answer("a.png")
        assert (status, code) == (400, "invalid_request")
        assert "not fetched" in said


def test_what_fetching_took_is_taken_off_the_time(gateways: Served, host: str, tmp_path: Path) -> None:
    (tmp_path / "slow.png").write_bytes(PNG)
    with gateways(image_hosts=[host], image_networks=["127.0.0.0/8"]):
        found = ask("/infer", {"image": f"http://{host}/slow.png", "question": "?", "timeout_s": 9})[2]
        assert 5.5 < float(found["versions"]["options"].partition('"timeout_s":')[2].partition(",")[0]) < 7.1
