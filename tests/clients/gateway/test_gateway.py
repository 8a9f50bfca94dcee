"""The routes, on a real uvicorn before a real Triton that echoes."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clients.gateway import keys
from clients.metrics import parse, read_metrics
from pixelis.schema import Options, PipelineResult
from tests.clients.conftest import DEAD, PORTS, picture
from tests.clients.gateway.conftest import PORT, Served, ask

pytestmark = pytest.mark.triton


def coded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def body(question: str = "?", seed: int = 0, **rest: Any) -> dict[str, Any]:
    return {"image": coded(picture(seed)), "question": question, **rest}


def form(fields: list[tuple[str, str | bytes]]) -> tuple[bytes, str]:
    parts = []
    for name, value in fields:
        file = '; filename="a"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        parts.append(b'--BOUND\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name.encode(), file.encode()))
        parts.append(content + b"\r\n")
    return b"".join(parts) + b"--BOUND--\r\n", "multipart/form-data; boundary=BOUND"


def stream(said: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    _, headers, data = ask("/infer", {**said, "stream": True})
    assert headers["content-type"].startswith("text/event-stream")
    return parsed(data)


def parsed(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Names and contents of events, which are numbered from 1."""
    blocks = [block.split("\n") for block in data.decode().strip().split("\n\n")]
    assert [one[0] for one in blocks] == [f"id: {number + 1}" for number in range(len(blocks))]
    return [(name.removeprefix("event: "), json.loads(line.removeprefix("data: "))) for _, name, line in blocks]


def metric(name: str) -> float:
    return parse(ask("/metrics")[2].decode()).get(name, 0.0)


def test_a_question(gateway: uvicorn.Server) -> None:
    status, headers, found = ask("/infer", body("¿Qué?", 1, k=3, timeout_s=9, request_id="mine"))
    result = PipelineResult.model_validate(found)
    assert (status, result.answer, result.request_id, headers["x-request-id"]) == (200, "¿Qué?", "mine", "mine")
    assert result.provenance.reasons == [hashlib.sha256(picture(1)).hexdigest()]
    assert Options.model_validate_json(result.versions["options"]) == Options(k=3, timeout_s=9)


def test_a_request_has_a_name_in_any_case(gateway: uvicorn.Server) -> None:
    _, headers, found = ask("/infer", body(), X_Request_Id="theirs")
    assert headers["x-request-id"] == found["request_id"] == "theirs"
    _, headers, found = ask("/infer", body())
    assert headers["x-request-id"] == found["request_id"] != ""
    status, headers, found = ask("/infer", body(), X_Request_Id="no name")
    assert (status, found["error"]["code"]) == (400, "invalid_request")
    assert headers["x-request-id"] == found["error"]["request_id"]


def test_an_upload(gateway: uvicorn.Server) -> None:
    images = [picture(2, "JPEG"), picture(3)]
    data, kind = form([("image", images[0]), ("image", images[1]), ("question", "?"), ("k", "3"), ("stop", '["a"]')])
    status, _, found = ask("/infer", data, Content_Type=kind)
    assert status == 200, found
    assert found["provenance"]["reasons"] == [hashlib.sha256(image).hexdigest() for image in images]
    assert Options.model_validate_json(found["versions"]["options"]) == Options(k=3, stop=["a"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("question", "?")], "no image"),
        ([("image", b"x")], "wrong at `question`"),
        ([("image", b"x"), ("question", b"?")], "`question` is a file"),
        ([("image", b"x"), ("question", "?"), ("question", "?")], "occurs twice"),
        ([("image", b"x"), ("question", "?"), ("k", "many")], "wrong at `k`"),
        ([("image", b"x"), ("question", "?"), ("k", '"5"')], "wrong at `k`"),
        ([("image", b"x"), ("question", "?"), ("stream", "yes")], "wrong at `stream`"),
        ([("image", b"x"), ("question", "?"), ("k", "[" * 60_000)], "wrong at `k`"),
        ([("image", "YQ=="), ("question", "?")], "no file"),
        ([("image", b"x"), ("question", "?"), ("../k", "1")], "unknown key"),
        ([("image", b"x")] * 5 + [("question", "?")], "[Tt]oo many files"),
    ],
)
def test_an_upload_that_is_wrong(gateway: uvicorn.Server, fields: list[tuple[str, str | bytes]], said: str) -> None:
    data, kind = form(fields)
    status, _, found = ask("/infer", data, Content_Type=kind)
    assert status == 400
    assert re.search(said, found["error"]["message"]), found


def test_a_stream(gateway: uvicorn.Server) -> None:
    events = stream(body("Wörter?", 4, request_id="r"))
    kinds = ["token", "tool_call", "observation", "tool_call", "observation", "answer"]
    assert [name for name, _ in events] == kinds == [event["event"] for _, event in events]
    assert PipelineResult.model_validate(events[-1][1]["result"]).answer == "Wörter?"


def test_an_error_has_its_status_and_in_a_stream_its_event(gateway: uvicorn.Server) -> None:
    status, _, found = ask("/infer", body("refuse"))
    assert (status, found["error"]["code"], found["error"]["type"]) == (400, "invalid_image", "invalid_request_error")
    status, headers, found = ask("/infer", body("fail"))
    assert (status, found["error"]["code"], headers["retry-after"]) == (503, "unavailable", "1")
    status, _, found = ask("/infer", body("crash"))
    assert (status, found["error"]["code"]) == (502, "serving")
    assert "secret" not in json.dumps(found)
    name, event = stream(body("fail"))[-1]
    assert (name, event["error"]["code"]) == ("error", "unavailable")


def test_a_batch_keeps_its_order_and_each_member_its_own_error(gateway: uvicorn.Server) -> None:
    members = [body("a"), {"question": "?"}, body("refuse"), body("b", stream=True), body("c", request_id="mine")]
    status, _, found = ask("/batch_infer", {"requests": members}, X_Request_Id="batch")
    assert status == 200
    answers = found["answers"]
    assert [one["status"] for one in answers] == [200, 400, 400, 400, 200]
    assert [one["result"]["answer"] for one in answers if "result" in one] == ["a", "c"]
    assert [one["result"]["request_id"] for one in answers if "result" in one] == ["batch-0", "mine"]
    assert [one["error"]["request_id"] for one in answers if "error" in one] == ["batch-1", "batch-2", "batch-3"]
    for wrong in ({"requests": []}, {"requests": [1]}, {"requests": "x"}, {"request": [body()]}, {}):
        assert ask("/batch_infer", wrong)[0] == 400
    assert ask("/batch_infer", {"requests": [{}] * 65})[0] == 413


def test_a_request_is_its_keys_tenants(gateways: Served, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    alice, teacher = keys.add(path, "alice", None, None), keys.add(path, "teacher", None, None, tenant="")

    def tenant(key: str, **said: Any) -> str:
        result = ask("/infer", body(**said), Authorization=f"Bearer {key}")[2]
        return Options.model_validate_json(result["versions"]["options"]).tenant

    with gateways(keys=path):
        assert (tenant(alice), tenant(alice, k=3), tenant(teacher)) == ("alice", "alice", "")
        refused = ask("/infer", body(tenant="bob"), Authorization=f"Bearer {alice}")
        assert (refused[0], "unknown key `tenant`" in refused[2]["error"]["message"]) == (400, True)
        streamed = ask("/infer", body(stream=True), Authorization=f"Bearer {alice}")[2]
        assert b'\\"tenant\\":\\"alice\\"' in streamed
        found = ask("/batch_infer", {"requests": [body(), body(tenant="")]}, Authorization=f"Bearer {alice}")[2]
        assert [one["status"] for one in found["answers"]] == [200, 400]
        assert '"tenant":"alice"' in found["answers"][0]["result"]["versions"]["options"]


def test_feedback_reaches_the_experiences(gateway: uvicorn.Server) -> None:
    status, _, found = ask("/feedback", {"request_id": "never", "correct": True})
    assert (status, found["error"]["code"]) == (404, "not_found")
    for wrong in ({"request_id": "r"}, {"request_id": "r", "correct": True, "answer": "x"}, {"correct": True}):
        assert ask("/feedback", wrong)[0] == 400


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nowhere", "GET", 404),
        ("/../../etc/passwd", "GET", 404),
        ("/infer/..%2f..%2fmetrics", "GET", 404),
        ("/infer", "GET", 405),
        ("/health", "DELETE", 405),
        ("/docs", "GET", 404),
    ],
)
def test_paths_and_methods_that_there_are_not(gateway: uvicorn.Server, path: str, method: str, status: int) -> None:
    found, headers, said = ask(path, method=method)
    assert (found, bool(said["error"]["message"])) == (status, True)
    assert status != 405 or headers["allow"]


def test_health_says_what_is_down(gateway: uvicorn.Server) -> None:
    status, _, found = ask("/health")
    assert (status, found["live"], found["ready"]) == (503, True, False)  # the echoing server has four models
    assert {"policy", "vote"} < set(found["degraded"])
    assert not {"pixelis", "agent", "knn", "visual_ops"} & set(found["degraded"])


def test_without_triton_there_is_a_reason(gateways: Served) -> None:
    with gateways(triton=DEAD):
        assert ask("/health")[2]["live"] is False
        status, headers, found = ask("/infer", body())
        assert (status, found["error"]["code"], headers["retry-after"]) == (503, "unavailable", "1")
        assert ask("/stats")[0] == 200
    with gateways(triton_metrics=DEAD):
        stats = ask("/stats")[2]
        assert ("gpus" in stats, DEAD in stats["gpus_reason"]) == (False, True)


def test_metrics_and_stats_count_what_was(gateway: uvicorn.Server) -> None:
    name = 'pixelis_gateway_request_seconds_count{outcome="ok",route="/infer"}'
    before = metric(name)
    ask("/infer", body())
    stream(body())
    assert metric(name) == before + 2
    stats = ask("/stats")[2]
    assert stats["requests"]["/infer"]["ok"] == before + 2
    assert (stats["in_flight"], stats["waiting"]) == (0, {"urgent": 0, "ordinary": 0})
    assert not {"gpus", "gpus_reason"} & set(stats)


def test_a_request_waits_for_its_turn_within_its_time(gateways: Served) -> None:
    with gateways(in_flight=1, waiting=1), ThreadPoolExecutor(3) as pool:
        slow = pool.submit(ask, "/infer", body("sleep 2"))
        time.sleep(0.5)
        late = pool.submit(ask, "/infer", body(timeout_s=1))
        time.sleep(0.2)
        status, headers, found = ask("/infer", body())
        assert (status, found["error"]["code"], headers["retry-after"]) == (503, "unavailable", "1")
        assert late.result()[0] == 504
        assert slow.result()[0] == 200
        assert ask("/stats")[2]["in_flight"] == 0


def test_a_client_that_goes_ends_its_request(gateway: uvicorn.Server) -> None:
    def cancelled() -> float:
        return read_metrics(f"127.0.0.1:{PORTS['metrics']}").get("pixelis_test_cancelled_total", 0.0)

    before = cancelled()
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    connection.request("POST", "/infer", json.dumps(body("forever", stream=True)), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.readline() == b"id: 1\n"
    assert response.readline() == b"event: token\n"
    response.close()
    connection.close()
    end = time.monotonic() + 10
    while time.monotonic() < end and (cancelled() == before or ask("/stats")[2]["in_flight"]):
        time.sleep(0.2)
    assert cancelled() == before + 1
    assert ask("/stats")[2]["in_flight"] == 0


def test_keys_are_asked_for_before_a_body_is_read(gateways: Served, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    alice, bob = keys.add(path, "alice", None, None), keys.add(path, "bob", 6, None)
    with gateways(keys=path):
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": alice}):
            status, headers, found = ask("/infer", b"{", **header)
            assert (status, found["error"]["code"], headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
        assert ask("/infer", body(), Authorization=f"Bearer {alice}")[0] == 200
        assert ask("/infer", body(), Authorization=f"Bearer {bob}")[0] == 200
        status, headers, found = ask("/infer", body(), Authorization=f"Bearer {bob}")
        assert (status, found["error"]["code"], headers["retry-after"]) == (429, "rate_limited", "10")
        assert ask("/infer", body(), Authorization=f"Bearer {alice}")[0] == 200
        assert ask("/metrics")[0] == ask("/openapi.json")[0] == 200


def test_what_is_left_is_said_to_whom_it_belongs(gateways: Served, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    alice, bob = keys.add(path, "alice", 600, None, 3), keys.add(path, "bob", None, None)
    with gateways(keys=path):
        status, headers, _ = ask("/infer", body(), Authorization=f"Bearer {alice}")
        left = {
            name: value for name, value in headers.items() if name.startswith("x-ratelimit") and "reset" not in name
        }
        assert (status, left) == (
            200,
            {
                "x-ratelimit-limit-minute": "600",
                "x-ratelimit-remaining-minute": "99",
                "x-ratelimit-limit-day": "3",
                "x-ratelimit-remaining-day": "2",
            },
        )
        batch = {"requests": [body()] * 3}
        status, headers, found = ask("/batch_infer", batch, Authorization=f"Bearer {alice}")
        assert (status, found["error"]["code"], headers["x-ratelimit-remaining-day"]) == (429, "rate_limited", "2")
        assert int(headers["retry-after"]) == pytest.approx(int(headers["x-ratelimit-reset-day"]), abs=1)
        assert ask("/batch_infer", {"requests": [body()] * 2}, Authorization=f"Bearer {alice}")[0] == 200
        assert ask("/v1/models", Authorization=f"Bearer {alice}")[0] == 200  # which is no question
        assert ask("/v1/chat/completions", {}, Authorization=f"Bearer {alice}")[0] == 429
        quota = ask("/stats", Authorization=f"Bearer {alice}")[2]["quota"]
        assert quota == {"name": "alice", "limit": 3, "remaining": 0, "reset_s": quota["reset_s"]}
        assert "quota" not in ask("/stats", Authorization=f"Bearer {bob}")[2]
        assert "quota" not in ask("/stats")[2]
        assert ask("/stats", Authorization="Bearer wrong")[0] == 401
        assert not [name for name in ask("/infer", body(), Authorization=f"Bearer {bob}")[1] if "ratelimit" in name]


def test_only_pages_that_were_named_may_call(gateways: Served) -> None:
    asked = {"Origin": "http://page", "Access_Control_Request_Method": "POST"}
    with gateways():
        assert "access-control-allow-origin" not in ask("/stats", Origin="http://page")[1]
        assert ask("/infer", method="OPTIONS", **asked)[0] == 405
    with gateways(origins=["http://page"]):
        assert ask("/stats", Origin="http://page")[1]["access-control-allow-origin"] == "http://page"
        assert ask("/infer", method="OPTIONS", **asked)[0] == 200
        assert "access-control-allow-origin" not in ask("/stats", Origin="http://other")[1]


def test_many_at_once(gateway: uvicorn.Server) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: ask("/infer", body(str(number), number)), range(64)))
    assert [(status, said["answer"]) for status, _, said in found] == [(200, str(number)) for number in range(64)]


def test_it_ends_what_is_under_way_before_it_ends(gateways: Served) -> None:
    with ThreadPoolExecutor(1) as pool:
        with gateways() as server:
            slow = pool.submit(ask, "/infer", body("sleep 1.5"))
            time.sleep(0.5)
            server.should_exit = True
        assert slow.result()[0] == 200
