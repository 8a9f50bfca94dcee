"""The adapter off the server: every request gets its own answer or its own error."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pixelis.errors import DeadlineExceeded, InvalidOperation, InvalidRequest, NotFound, ServingError, Unavailable
from python_backends.rows import Row, Tensors, text
from tests.pipeline import fake_triton
from tests.pipeline.fake_triton import InferenceRequest, InferenceResponse, Request, Tensor, TritonError, array

CONFIG = {
    "name": "echo",
    "max_batch_size": 8,
    "output": [{"name": "OUT", "data_type": "TYPE_STRING", "dims": ["1"]}],
    "parameters": {"threads": {"string_value": "3"}},
}
ARGS = {"model_config": json.dumps(CONFIG), "model_version": "2", "model_repository": "/models/echo"}


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_triton.module())
    for name in loaded():
        monkeypatch.delitem(sys.modules, name)
    fake_triton.MetricFamily.log.clear()
    fake_triton.Logger.errors.clear()
    InferenceRequest.siblings.clear()
    yield importlib.import_module("python_backends.adapter")
    for name in loaded():
        del sys.modules[name]


def loaded() -> list[str]:
    """The adapter and its modules: all of them hold on to the Triton that they were imported with."""
    return [name for name in sys.modules if name.split(".")[:2] == ["python_backends", "adapter"]]


def echo(adapter: ModuleType, config: dict[str, Any] = CONFIG) -> Any:
    class Echo(adapter.UnaryModel):  # type: ignore[name-defined, misc]
        batches: list[int] = []  # noqa: RUF012 - looked at by the tests

        def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
            self.batches.append(len(rows))
            words = [row.string("IN").decode() for row in rows]
            if "crash" in words:
                raise ZeroDivisionError("secret")
            answers: list[Tensors | BaseException] = []
            for word in words:
                answers.append(InvalidRequest("no") if word == "bad" else {"OUT": text(word)})
            if words == ["wrong"]:
                return [{"OUT": np.zeros(1, np.float32)}]
            return answers

    model = Echo()
    model.initialize({**ARGS, "model_config": json.dumps(config)})
    return model


def answers(responses: Sequence[InferenceResponse]) -> list[str]:
    found = []
    for response in responses:
        error = response.error()
        found.append(error.message() if error else response.output_tensors()[0].as_numpy()[0, 0].decode())
    return found


def test_what_a_model_knows_of_itself(adapter: ModuleType) -> None:
    model = echo(adapter)
    assert (model.name, model.version, model.threads) == ("echo", "2", 3)
    assert str(model.directory) == "/models/echo/2"
    assert str(model.repository) == "/models"


def test_a_batch_is_answered_together_and_a_bad_request_alone(adapter: ModuleType) -> None:
    model = echo(adapter)
    requests = [Request(IN=array(word)) for word in ("a", "bad", "b")] + [Request(IN=array("x", "y")), Request()]
    assert answers(model.execute(requests[:3])) == ["a", "invalid_request: no", "b"]
    assert model.batches == [3]
    mixed = answers(model.execute(requests))
    assert mixed[:3] == ["a", "invalid_request: no", "b"]
    assert "it takes exactly 1" in mixed[3]
    assert mixed[4].startswith("invalid_request: ")


def test_an_unexpected_failure_is_that_requests_alone_and_says_nothing_secret(adapter: ModuleType) -> None:
    found = answers(echo(adapter).execute([Request(IN=array(word)) for word in ("a", "crash", "b")]))
    assert (found[0], found[2]) == ("a", "b")
    assert found[1] == "serving: Model `echo` failed on this request (ZeroDivisionError)."
    assert "secret" in fake_triton.Logger.errors[0]
    assert "Traceback" in fake_triton.Logger.errors[0]


def test_an_answer_out_of_contract_is_an_error(adapter: ModuleType) -> None:
    (found,) = answers(echo(adapter).execute([Request(IN=array("wrong"))]))
    assert found.startswith("serving: Output OUT is float32[1]")


def test_rows_of_one_request(adapter: ModuleType) -> None:
    request = Request(IN=np.array([[b"a"], [b"b"]], object))
    (response,) = echo(adapter).execute([request])
    assert response.output_tensors()[0].as_numpy().tolist() == [[b"a"], [b"b"]]
    assert answers(echo(adapter).execute([Request(IN=np.array([[b"a"], [b"bad"]], object))])) == [
        "invalid_request: Row 1 of the batch: no"
    ]


def test_side_by_side_each_request_is_answered_when_it_is_done(adapter: ModuleType) -> None:
    released = threading.Event()

    class Waits(adapter.SideBySideModel):  # type: ignore[name-defined, misc]
        def until(self, row: Row) -> float:
            return time.time() + (0.2 if row.string("IN") == b"hangs" else 5.0)

        def one(self, row: Row) -> Tensors:
            word = row.string("IN").decode()
            if word in ("long", "hangs"):
                released.wait(5)
            if word == "bad":
                raise InvalidRequest("no")
            return {"OUT": text(word)}

    model = Waits()
    model.initialize(ARGS)
    requests = [Request(IN=array(word)) for word in ("long", "hangs", "short", "bad")]
    requests += [Request(), Request(IN=np.array([[b"a"], [b"b"]], object))]
    run = threading.Thread(target=lambda: model.execute(requests))
    run.start()
    long, hangs, short, bad, empty, two = (request.sender for request in requests)
    assert fake_triton.wait(lambda: all(one.final for one in (hangs, short, bad, empty, two)))
    assert not long.final
    assert answers([*short.sent, *bad.sent]) == ["short", "invalid_request: no"]
    assert answers(hangs.sent)[0].startswith("deadline_exceeded: ")
    assert answers(empty.sent)[0].startswith("invalid_request: ")
    assert two.sent[0].output_tensors()[0].as_numpy().tolist() == [[b"a"], [b"b"]]
    released.set()
    run.join(5)
    assert answers(long.sent) == ["long"]
    assert [len(request.sender.sent) for request in requests] == [1] * 6


def test_a_request_for_which_there_is_no_thread_fails_alone(
    adapter: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Echoes(adapter.SideBySideModel):  # type: ignore[name-defined, misc]
        def until(self, row: Row) -> float:
            return time.time() + 5

        def one(self, row: Row) -> Tensors:
            return {"OUT": text(row.string("IN").decode())}

    model, start, begun = Echoes(), threading.Thread.start, list[str]()
    model.initialize(ARGS)

    def third_fails(thread: threading.Thread) -> None:
        begun.append(thread.name)
        if len(begun) == 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    requests = [Request(IN=array(word)) for word in ("a", "b", "c")]
    monkeypatch.setattr(threading.Thread, "start", third_fails)
    model.execute(requests)
    said = sorted(answers(one.sender.sent)[0] for one in requests)
    assert len(said) == 3
    assert sum(one.startswith("serving: ") for one in said) == 1


def test_a_picture_that_the_graph_cannot_take(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "python_backends.serving.engine", raising=False)
    engine = importlib.import_module("python_backends.serving.engine").Engine()
    sys.modules.pop("python_backends.serving.engine")
    engine._names, engine._multiple, engine._channels = ["IMAGE"], 32, [3, 6]
    assert engine._shape(Row({"IMAGE": np.zeros((32, 64, 3))}), "IMAGE") == (32, 64, 3)
    for height, width in ((40, 64), (64, 31), (0, 32)):
        with pytest.raises(InvalidRequest, match=rf"IMAGE is {width}x{height}.*multiples of 32"):
            engine._shape(Row({"IMAGE": np.zeros((height, width, 3))}), "IMAGE")
    assert engine._shape(Row({"IMAGE": np.zeros((32, 64, 6))}), "IMAGE") == (32, 64, 6)
    with pytest.raises(InvalidRequest, match=r"IMAGE has 4 channels\. It takes 3 or 6"):
        engine._shape(Row({"IMAGE": np.zeros((32, 64, 4))}), "IMAGE")


def test_errors_carry_a_status_and_are_counted(adapter: ModuleType) -> None:
    model = echo(adapter)
    codes = [
        model.refuse(error).error().code
        for error in (InvalidRequest("x"), NotFound("x"), Unavailable("x"), DeadlineExceeded("x"), ServingError("x"))
    ]
    wanted = TritonError
    assert codes == [wanted.INVALID_ARG, wanted.NOT_FOUND, wanted.UNAVAILABLE, wanted.UNAVAILABLE, wanted.INTERNAL]
    counted = [
        dict(labels)["code"] for name, labels, _ in fake_triton.MetricFamily.log if name.endswith("errors_total")
    ]
    assert counted == ["invalid_request", "not_found", "unavailable", "deadline_exceeded", "serving"]


def test_a_stream_is_sent_from_elsewhere_and_ends_once(adapter: ModuleType) -> None:
    class Later(adapter.StreamModel):  # type: ignore[name-defined, misc]
        def serve(self, row: Row, sink: Any) -> None:
            if "IN" not in row:
                raise InvalidRequest("empty")
            sink.send({"OUT": text("1")})
            sink.close()
            sink.send({"OUT": text("too late")})
            sink.close()
            sink.fail(InvalidRequest("too late"))

    model = Later()
    model.initialize({**ARGS, "model_config": json.dumps({**CONFIG, "max_batch_size": 0})})
    good, bad = Request(IN=np.array([b"x"], object)), Request()
    assert model.execute([good, bad]) is None
    assert [response.output_tensors()[0].as_numpy().tolist() for response in good.sender.sent] == [[b"1"]]
    assert (good.sender.final, bad.sender.final) == (1, 1)
    assert bad.sender.sent[0].error().message() == "invalid_request: empty"  # type: ignore[union-attr]


def test_the_last_answer_and_the_end_of_a_stream_are_one_message(adapter: ModuleType) -> None:
    class Once(adapter.StreamModel):  # type: ignore[name-defined, misc]
        def serve(self, row: Row, sink: Any) -> None:
            sink.send({"OUT": text("1")}, last=True)
            sink.send({"OUT": text("too late")})
            sink.close()

    model = Once()
    model.initialize({**ARGS, "model_config": json.dumps({**CONFIG, "max_batch_size": 0})})
    request = Request(IN=np.array([b"x"], object))
    model.execute([request])
    assert len(request.sender.sent) == 1
    assert request.sender.final == 1


def soon(seconds: float = 5.0) -> float:
    return time.time() + seconds


def test_a_stream_s_iterator_outlives_its_end(adapter: ModuleType) -> None:
    InferenceRequest.siblings["fails"] = lambda inputs: iter(
        [InferenceResponse([Tensor("OUT", inputs["IN"])]), InferenceResponse(error=TritonError("not_found: x"))]
    )
    caller = adapter.Caller()
    answers = caller.stream("fails", {"IN": np.array([2])}, ["OUT"], soon())
    assert next(answers)["OUT"].tolist() == [2]
    with pytest.raises(NotFound):
        next(answers)
    assert len(caller._ended) == 1


def test_calls_of_siblings(adapter: ModuleType) -> None:
    def double(inputs: dict[str, Any]) -> Iterator[InferenceResponse]:
        yield InferenceResponse([Tensor("OUT", inputs["IN"] * 2)])
        yield InferenceResponse([Tensor("OUT", inputs["IN"] * 4)])
        yield InferenceResponse()

    InferenceRequest.siblings["double"] = double
    caller = adapter.Caller()
    assert caller.one("double", {"IN": np.array([2])}, "OUT", soon()).tolist() == [4]
    streamed = caller.stream("double", {"IN": np.array([2])}, ["OUT"], soon())
    assert [answer["OUT"].tolist() for answer in streamed] == [[4], [8]]
    with pytest.raises(ServingError, match="did not answer"):
        caller.call("double", {"IN": np.array([2])}, ["OTHER"], soon())


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("in ensemble 'x', invalid_operation: Point outside", InvalidOperation),
        ("Failed to process the request(s) for model 'm', message: Stub process 'm_0_0' is not healthy.", Unavailable),
        ("something else", ServingError),
    ],
)
def test_errors_of_siblings_become_typed_again(adapter: ModuleType, message: str, error: type[Exception]) -> None:
    InferenceRequest.siblings["m"] = lambda _: iter([InferenceResponse(error=TritonError(message))])
    with pytest.raises(error) as raised:
        adapter.Caller().call("m", {}, ["OUT"], soon())
    assert type(raised.value) is error


def test_a_full_policy_is_passed_on_with_when_to_come_again(adapter: ModuleType) -> None:
    full = Unavailable("9 requests wait for the policy, which is as many as may.", mend="Try again in 2.5 s.")
    InferenceRequest.siblings["policy"] = lambda _: iter([InferenceResponse(error=TritonError(full.wire()))])
    with pytest.raises(Unavailable) as raised:
        list(adapter.Caller().stream("policy", {}, ["EVENT"], soon()))
    assert raised.value.retry_after_s == 2.5
    passed_on = echo(adapter).refuse(raised.value).error()
    assert (passed_on.code, passed_on.message()) == (TritonError.UNAVAILABLE, full.wire())


def test_a_sibling_that_is_not_there_or_hangs(adapter: ModuleType) -> None:
    with pytest.raises(Unavailable, match="`absent` is not up"):
        adapter.Caller().call("absent", {}, ["OUT"], soon())

    def hangs(_: dict[str, Any]) -> Iterator[InferenceResponse]:
        yield InferenceResponse([Tensor("OUT", np.zeros(1))])
        time.sleep(2)

    InferenceRequest.siblings["hangs"] = hangs
    with pytest.raises(DeadlineExceeded):
        list(adapter.Caller().stream("hangs", {}, ["OUT"], soon(0.2)))


def test_a_row_that_an_engine_cannot_run_does_not_spoil_its_batch(
    adapter: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lookup" / "2"
    folder.mkdir(parents=True)
    index = helper.make_tensor_value_info("INDEX", TensorProto.INT64, ["batch", 1])
    out = helper.make_tensor_value_info("OUT", TensorProto.FLOAT, ["batch", 1])
    table = helper.make_tensor("table", TensorProto.FLOAT, [2], [5.0, 7.0])
    graph = helper.make_graph([helper.make_node("Gather", ["table", "INDEX"], ["OUT"])], "g", [index], [out], [table])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    monkeypatch.delitem(sys.modules, "python_backends.serving.engine", raising=False)
    model = importlib.import_module("python_backends.serving.engine").Engine()
    sys.modules.pop("python_backends.serving.engine")
    output = [{"name": "OUT", "data_type": "TYPE_FP32", "dims": ["1"]}]
    config = {"name": "lookup", "max_batch_size": 8, "output": output}
    args = {"model_config": json.dumps(config), "model_version": "2", "model_repository": str(tmp_path / "lookup")}
    model.initialize(args)
    responses = model.execute([Request(INDEX=np.array([[i]])) for i in (1, 9, 0)])
    assert [response.has_error() for response in responses] == [False, True, False]
    assert [responses[i].output_tensors()[0].as_numpy().item() for i in (0, 2)] == [7, 5]
    assert responses[1].error().code == TritonError.INVALID_ARG
