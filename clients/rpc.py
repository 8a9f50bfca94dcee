"""Transport over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, NoReturn

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from clients import faults
from clients.tensors import Tensors, datatype, pack, unpack
from clients.wire import Call

_CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
PROBE_S = 5.0


def request(call: Call[Any]) -> Any:
    """The `ModelInferRequest` of a call."""
    message = service_pb2.ModelInferRequest(model_name=call.model, id=call.request_id)
    for name, array in call.inputs.items():
        message.inputs.add(name=name, datatype=datatype(array), shape=array.shape)
        message.raw_input_contents.append(pack(array))
    return message


def outputs(response: Any) -> Tensors:
    """The tensors of a `ModelInferResponse`."""
    pairs = zip(response.outputs, response.raw_output_contents, strict=True)
    return {tensor.name: unpack(raw, tensor.datatype, tensor.shape) for tensor, raw in pairs}


def _event(response: Any) -> Tensors:
    """The tensors of one response of a stream; none where it only marks the end."""
    if response.error_message:
        raise faults.from_server(response.error_message)
    return outputs(response.infer_response)


def _fail(error: Any, url: str, timeout_s: float) -> NoReturn:
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        raise faults.late(url, timeout_s) from None
    if code == grpc.StatusCode.UNAVAILABLE and "failed to connect" in details and "Socket closed" in details:
        raise faults.foreign(url, "gRPC") from None
    if code == grpc.StatusCode.UNAVAILABLE and ("failed to connect" in details or "resolv" in details):
        raise faults.unreachable(url, "connection refused or no route") from None
    if code == grpc.StatusCode.UNAVAILABLE and details in ("Socket closed", "Connection reset by peer"):
        raise faults.unreachable(url, details.lower()) from None
    raise faults.from_server(details or str(code)) from None


class GrpcTransport:
    """Synchronous; may be shared between threads.

    Args:
        url: `host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._channel = grpc.insecure_channel(url, options=_CHANNEL)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def infer(self, call: Call[Any]) -> Tensors:
        """One answer."""
        try:
            return outputs(self._stub.ModelInfer(request(call), timeout=call.timeout_s))
        except grpc.RpcError as error:
            _fail(error, self._url, call.timeout_s)

    def stream(self, call: Call[Any]) -> Generator[Tensors, None, None]:
        """Answers as they come; closing the iterator cancels the request."""
        responses = self._stub.ModelStreamInfer(iter([request(call)]), timeout=call.timeout_s)
        try:
            for response in responses:
                if tensors := _event(response):
                    yield tensors
        except grpc.RpcError as error:
            _fail(error, self._url, call.timeout_s)
        finally:
            responses.cancel()

    def ready(self, model: str | None) -> bool:
        """Whether the server, or one model, takes requests."""
        try:
            if model is None:
                return bool(self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=PROBE_S).ready)
            return bool(self._stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=PROBE_S).ready)
        except grpc.RpcError:
            return False

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class AioGrpcTransport:
    """The same for asyncio.

    Args:
        url: `host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._channel: grpc.aio.Channel | None = None

    @property
    def _stub(self) -> Any:
        if self._channel is None:  # made here, because a channel belongs to the loop that runs
            self._channel = grpc.aio.insecure_channel(self._url, options=_CHANNEL)
            self._made = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self._made

    async def infer(self, call: Call[Any]) -> Tensors:
        """One answer."""
        try:
            return outputs(await self._stub.ModelInfer(request(call), timeout=call.timeout_s))
        except grpc.aio.AioRpcError as error:
            _fail(error, self._url, call.timeout_s)

    async def stream(self, call: Call[Any]) -> AsyncGenerator[Tensors, None]:
        """Answers as they come; closing the iterator cancels the request."""
        responses = self._stub.ModelStreamInfer(iter([request(call)]), timeout=call.timeout_s)
        try:
            async for response in responses:
                if tensors := _event(response):
                    yield tensors
        except grpc.aio.AioRpcError as error:
            _fail(error, self._url, call.timeout_s)
        finally:
            responses.cancel()

    async def ready(self, model: str | None) -> bool:
        """Whether the server, or one model, takes requests."""
        try:
            if model is None:
                return bool((await self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=PROBE_S)).ready)
            asked = service_pb2.ModelReadyRequest(name=model)
            return bool((await self._stub.ModelReady(asked, timeout=PROBE_S)).ready)
        except grpc.aio.AioRpcError:
            return False

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()
