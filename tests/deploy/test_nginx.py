"""nginx with our files: what it passes on, to whom, and what it keeps out. Ports 18540 to 18545."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixelis.gateway_config import Gateway
from pixelis.schema import Options
from tests.deploy.tools import ROOT, TEMPLATE, filled, nginx, program, running, servers
from tests.deploy.upstream import DIES, Upstream, serving
from tests.redis_server import wait

HTTP, GRPC, ONE, OTHER = 18540, 18541, 18542, 18543
VALUES = {
    "PIXELIS_HTTP_LISTEN": f"127.0.0.1:{HTTP}",
    "PIXELIS_GRPC_LISTEN": f"127.0.0.1:{GRPC}",
    "PIXELIS_GATEWAYS": servers(ONE, OTHER),
    "PIXELIS_TRITONS": servers(18544, 18545),
}
QUESTIONS = ("/infer", "/batch_infer", "/v1/chat/completions")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A running nginx; the file of what it says."""
    conf = filled(tmp_path / "nginx", VALUES)
    with running(nginx(conf, "-g", "daemon off; user root;"), tmp_path / "log"):
        wait(lambda: "200" in _status("/health/nginx"))
        yield tmp_path / "log"


@pytest.fixture
def one() -> Iterator[Upstream]:
    with serving(ONE) as made:
        yield made


@pytest.fixture
def other() -> Iterator[Upstream]:
    with serving(OTHER) as made:
        yield made


def _status(path: str) -> str:
    try:
        return str(ask(path)[0])
    except OSError:
        return "none"


def ask(path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body; what is JSON is read."""
    connection = http.client.HTTPConnection("127.0.0.1", HTTP, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if body is None else "POST", path, body, named)
        response = connection.getresponse()
        data = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, json.loads(data) if found.get("content-type") == "application/json" else data
    finally:
        connection.close()


def test_nginx_takes_the_files(tmp_path: Path) -> None:
    conf = filled(tmp_path / "nginx", VALUES)
    command = [program("nginx"), *nginx(conf, "-t")[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "test is successful" in done.stderr) == (0, True), done.stderr
    assert "[warn]" not in done.stderr


def test_what_is_filled_in_is_what_was_agreed() -> None:
    assert set(re.findall(r"\$\{(\w+)\}", TEMPLATE.read_text(encoding="utf-8"))) == VALUES.keys()


def test_bounds_are_the_gateways(tmp_path: Path) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    config = Gateway()
    (body,) = re.findall(r"client_max_body_size (\d+)m;\n    client_body_buffer_size", text)
    assert int(body) == config.body_bytes / 2**20 + 1, "it is the gateway that says that a body is too large"
    longest = next(m.le for m in Options.model_fields["timeout_s"].metadata if hasattr(m, "le"))
    for directive in ("proxy_read_timeout", "grpc_read_timeout"):
        (seconds,) = re.findall(rf"{directive} (\d+)s;", text)
        assert int(seconds) > longest


def test_a_caller_is_who_is_connected(log: Path, one: Upstream, other: Upstream) -> None:
    status, headers, _ = ask("/infer", b"{}", X_Forwarded_For="203.0.113.7", X_Real_IP="203.0.113.7", Forwarded="for=x")
    ((_, _, told),) = one.seen + other.seen
    assert (status, told["X-Forwarded-For"], told["X-Real-IP"]) == (200, "127.0.0.1", "127.0.0.1")
    assert "Forwarded" not in told
    assert re.fullmatch("[0-9a-f]{32}", told["X-Request-Id"])
    assert "/" not in headers["server"], "no version"
    ask("/infer", b"{}", X_Request_Id="mine")
    assert "mine" in [told["X-Request-Id"] for _, _, told in one.seen + other.seen]


@pytest.mark.parametrize("status", [DIES, 502, 503])
@pytest.mark.parametrize("path", QUESTIONS)
def test_a_question_goes_to_the_other_replica(
    log: Path, one: Upstream, other: Upstream, path: str, status: int
) -> None:
    one.status = status
    for _ in range(6):
        assert ask(path, b"{}")[::2] == (200, {"port": OTHER, "received": 2})
    assert one.seen, "it was asked too"


@pytest.mark.parametrize(("status", "answer"), [(DIES, 503), (502, 502), (503, 503)])
def test_what_changes_something_is_sent_once(
    log: Path, one: Upstream, other: Upstream, status: int, answer: int
) -> None:
    one.status = other.status = status
    assert ask("/feedback", b"{}")[0] == answer
    assert len(one.seen + other.seen) == 1


def test_a_replica_that_is_not_there_is_noticed_by_nobody(log: Path, other: Upstream) -> None:
    for path in (*QUESTIONS, "/feedback"):
        for _ in range(4):
            assert ask(path, b"{}")[0] == 200
    assert len(other.seen) == 16


def test_replicas_that_refuse_one_caller_are_there_for_the_next(log: Path, one: Upstream, other: Upstream) -> None:
    one.status = other.status = 503
    status, headers, said = ask("/infer", b"{}")
    assert (status, headers["retry-after"], said["received"]) == (503, "7", 2), "a replica's own refusal"
    status, headers, said = ask("/infer", b"{}")
    assert (status, headers["retry-after"], said["error"]["code"]) == (503, "2", "unavailable")
    one.status = other.status = 200
    assert ask("/infer", b"{}")[0] == 200, "nobody is punished for what was refused a moment ago"


def test_nobody_is_there(log: Path) -> None:
    status, headers, said = ask("/infer", b"{}")
    assert (status, headers["retry-after"]) == (503, "2")
    assert said["error"].keys() == {"code", "message", "mend", "type", "request_id"}
    assert ask("/health")[0] == 503
    assert ask("/health/nginx")[::2] == (200, {"live": True})


def test_events_go_out_as_they_come(log: Path, one: Upstream, other: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", HTTP, timeout=5)
    connection.request("POST", "/stream", b"{}")
    response = connection.getresponse()
    assert response.readline() == b"id: 1\n", "before the second one is written"
    one.go_on.set()
    other.go_on.set()
    assert b"id: 2" in response.read()
    connection.close()


def test_events_are_found_where_they_are(log: Path, one: Upstream, other: Upstream) -> None:
    one.status = 404
    for _ in range(4):
        assert ask("/v1/events/name")[::2] == (200, {"port": OTHER, "received": 0})


def test_health_is_that_of_any_replica(log: Path, one: Upstream, other: Upstream) -> None:
    one.status = 503
    for _ in range(4):
        assert ask("/health")[::2] == (200, {"port": OTHER, "received": 0})


def test_numbers_are_for_prometheus(log: Path, one: Upstream, other: Upstream) -> None:
    assert ask("/metrics")[0] == 403
    assert not one.seen + other.seen


def test_a_large_body_and_one_that_is_too_large(log: Path, one: Upstream, other: Upstream) -> None:
    one.status = 503
    large = 64 * 2**20
    assert ask("/infer", bytes(large))[2]["received"] == large, "to the second replica too"
    connection = http.client.HTTPConnection("127.0.0.1", HTTP, timeout=5)
    connection.putrequest("POST", "/infer")
    connection.putheader("Content-Length", str(66 * 2**20))
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["code"]) == (413, "limit_exceeded")


def test_a_line_of_the_log(log: Path, one: Upstream, other: Upstream) -> None:
    one.status = other.status = 503
    ask('/infer?key="secret"', b"{}", Authorization="Bearer secret", X_Request_Id='a"b')
    wait(lambda: '"path":"/infer"' in log.read_text(encoding="utf-8"))
    text = next(line for line in log.read_text(encoding="utf-8").splitlines() if '"path":"/infer"' in line)
    line = json.loads(text)
    assert (line["status"], line["method"], line["request_id"]) == (503, "POST", 'a"b')
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", line["upstream"])) == {str(ONE), str(OTHER)}
    assert line["seconds"] < 5
    assert "secret" not in text


def test_a_dead_replica_is_left_at_once_and_taken_back(log: Path) -> None:
    with serving(ONE) as one:
        for _ in range(8):
            assert ask("/feedback", b"{}")[0] == 200
        assert "18543" in log.read_text(encoding="utf-8")
        before = log.read_text(encoding="utf-8").count("Connection refused")
        assert before <= 2, "it is left alone after the first attempt, by each of nginx's workers at most"
        assert len(one.seen) == 8
        with serving(OTHER) as other:
            time.sleep(2.2)
            wait(lambda: ask("/feedback", b"{}")[0] == 200 and bool(other.seen), 5)


def test_everything_runs_in_the_folder_that_is_named(log: Path) -> None:
    assert (log.parent / "nginx" / "run" / "nginx.pid").exists()
    assert not re.search(r"/(var|run|tmp)/", (ROOT / "deploy/nginx/nginx.conf").read_text(encoding="utf-8"))
