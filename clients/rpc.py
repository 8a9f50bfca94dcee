"""Transport over gRPC."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any, NoReturn

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from clients import faults
from clients.shared import NAME, Region, Regions, local
from clients.tensors import Tensors, datatype, pack, unpack
from clients.wire import Call
from pixelis.errors import ServingError

_CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_CUT_OFF = "Stream removed"
"""What gRPC says, under the code `UNKNOWN`, where a connection ends under a request."""
PROBE_S = 5.0
PAUSES_S = (0.005, 0.02, 0.1, 0.3)
REST_S = 10.0
"""How much longer than its time a request without an answer may still be read."""


def request(call: Call[Any], region: Region | None = None) -> Any:
    """The `ModelInferRequest` of a call; its images lie in `region` where there is one."""
    message = service_pb2.ModelInferRequest(model_name=call.model, id=call.request_id)
    for name, array in call.inputs.items():
        made = message.inputs.add(name=name, datatype=datatype(array), shape=array.shape)
        if region is not None and name == NAME:
            made.parameters["shared_memory_region"].string_param = region.name
            made.parameters["shared_memory_byte_size"].int64_param = region.write(array)
        else:
            message.raw_input_contents.append(pack(array))
    return message


def _registration(region: Region) -> Any:
    size = len(region.memory)
    return service_pb2.SystemSharedMemoryRegisterRequest(name=region.name, key=f"/{region.name}", byte_size=size)


def _farewell(region: Region) -> Any:
    return service_pb2.SystemSharedMemoryUnregisterRequest(name=region.name)


def _leave(regions: Regions, stub: Any) -> None:
    """Have the server let go of all regions; one that it still reads goes with the server."""
    for region in regions.stop():
        for pause_s in PAUSES_S:
            try:
                stub.SystemSharedMemoryUnregister(_farewell(region), timeout=PROBE_S)
                break
            except (grpc.RpcError, ValueError) as error:  # the latter of a channel that is closed
                if not _in_use(error):
                    break
                time.sleep(pause_s)


def _in_use(error: Exception) -> bool:
    """Whether a server does not let go of a region yet: it answers a moment before it has put a request away."""
    return isinstance(error, grpc.Call) and "in use" in (error.details() or "")


def _lost(text: str, region: Region | None) -> bool:
    """Whether a server does not know a region: it has been started anew. It has not begun the request then."""
    return region is not None and "shared memory region" in text and region.name in text


def outputs(response: Any) -> Tensors:
    """The tensors of a `ModelInferResponse`. Raises `ServingError` where its parts do not fit."""
    try:
        pairs = zip(response.outputs, response.raw_output_contents, strict=True)
        return {tensor.name: unpack(raw, tensor.datatype, tensor.shape) for tensor, raw in pairs}
    except ValueError as error:
        raise faults.garbled(error) from None


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
    found = faults.from_server(details or str(code))
    if type(found) is ServingError and (code == grpc.StatusCode.UNAVAILABLE or _CUT_OFF in details):
        raise faults.broken_off(url, details) from None
    raise found from None


class GrpcTransport:
    """Synchronous; may be shared between threads.

    Args:
        url: `host:port`.
        share: whether images may go to a server of the same machine through shared memory.
    """

    def __init__(self, url: str, *, share: bool = True) -> None:
        self._url = url
        self._channel = grpc.insecure_channel(url, options=_CHANNEL)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._regions = Regions(share and local(url))
        self._leave = weakref.finalize(self, _leave, self._regions, self._stub)  # also of a client that is not closed

    def infer(self, call: Call[Any]) -> Tensors:
        """One answer."""
        region = self._region(call)
        found = self._sent(call, region)
        if found is None:
            self._regions.lose()
            found = self._sent(call, None)
        assert found is not None
        return found

    def _sent(self, call: Call[Any], region: Region | None) -> Tensors | None:
        """One answer; none where the server does not know the region."""
        rest_s = call.timeout_s + REST_S
        try:
            found = outputs(self._stub.ModelInfer(request(call, region), timeout=call.timeout_s))
            rest_s = 0.0
            return found
        except grpc.RpcError as error:
            if _lost(error.details() or "", region):
                return None
            _fail(error, self._url, call.timeout_s)
        finally:
            if region is not None:
                self._regions.give_back(region, rest_s)

    def _region(self, call: Call[Any]) -> Region | None:
        """A region that the server has mapped; none where images go into the message."""
        region = self._regions.take(call.inputs)
        if region is None or region.known:
            return region
        try:
            self._stub.SystemSharedMemoryRegister(_registration(region), timeout=PROBE_S)
            region.known = True
            return region
        except grpc.RpcError:  # another machine behind a tunnel, a container, a server that forbids it
            self._regions.stop()
            return None
        finally:
            region.named()

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
        self._leave()
        self._channel.close()


class AioGrpcTransport:
    """The same for asyncio.

    Args:
        url: `host:port`.
        share: whether images may go to a server of the same machine through shared memory.
    """

    def __init__(self, url: str, *, share: bool = True) -> None:
        self._url = url
        self._channel: grpc.aio.Channel | None = None
        self._regions = Regions(share and local(url))

    @property
    def _stub(self) -> Any:
        if self._channel is None:  # made here, because a channel belongs to the loop that runs
            self._channel = grpc.aio.insecure_channel(self._url, options=_CHANNEL)
            self._made = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self._made

    async def infer(self, call: Call[Any]) -> Tensors:
        """One answer."""
        region = await self._region(call)
        found = await self._sent(call, region)
        if found is None:
            self._regions.lose()
            found = await self._sent(call, None)
        assert found is not None
        return found

    async def _sent(self, call: Call[Any], region: Region | None) -> Tensors | None:
        """One answer; none where the server does not know the region."""
        rest_s = call.timeout_s + REST_S
        try:
            found = outputs(await self._stub.ModelInfer(request(call, region), timeout=call.timeout_s))
            rest_s = 0.0
            return found
        except grpc.aio.AioRpcError as error:
            if _lost(error.details() or "", region):
                return None
            _fail(error, self._url, call.timeout_s)
        finally:
            if region is not None:
                self._regions.give_back(region, rest_s)

    async def _region(self, call: Call[Any]) -> Region | None:
        """As that of the synchronous one."""
        region = self._regions.take(call.inputs)
        if region is None or region.known:
            return region
        try:
            await self._stub.SystemSharedMemoryRegister(_registration(region), timeout=PROBE_S)
            region.known = True
            return region
        except grpc.aio.AioRpcError:
            self._regions.stop()
            return None
        finally:
            region.named()

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
        for region in self._regions.stop():
            for pause_s in PAUSES_S:
                try:
                    await self._stub.SystemSharedMemoryUnregister(_farewell(region), timeout=PROBE_S)
                    break
                except grpc.aio.AioRpcError as error:
                    if "in use" not in (error.details() or ""):
                        break
                    await asyncio.sleep(pause_s)
        if self._channel is not None:
            await self._channel.close()
