"""What the server asks of a running Triton, over gRPC: load a model, and answer a request.

`server` may not import `clients`, and needs less: one address, no retries, the raw words of an error.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from pixelis.errors import DeadlineExceeded, ServingError, Unavailable
from pixelis.schema import PROBE_ID
from server.launch import KEY_NAME

Tensors = dict[str, NDArray[Any]]
"""Named arrays; BYTES are arrays of objects that hold `bytes`."""

QUICK_S = 5.0
"""For what no model has a part in."""

_TYPES = {"uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float32": "FP32", "object": "BYTES"}
_ARRAYS = {name: np.dtype(numpy) for numpy, name in _TYPES.items()}


class Control:
    """One running Triton. Safe to share between threads; closing it ends what waits.

    Args:
        url: `host:port` of gRPC.
        key: opens the model-repository API; none = loading is refused.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self._url = url
        self._metadata = ((f"triton-grpc-protocol-{KEY_NAME}", key),)
        # Its own connection: by default all channels of a process to one address share one, and its flow control.
        own = ("grpc.use_local_subchannel_pool", 1)
        # A picture's tokens of a large checkpoint are more than gRPC's 4 MiB.
        self._channel = grpc.insecure_channel(url, options=[own, ("grpc.max_receive_message_length", -1)])
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def load(self, model: str, timeout_s: float) -> None:
        """Load `model`; one whose files are newer than what runs is loaded beside it and then takes its place.

        Raises:
            ServingError: it does not load; the text is Triton's.
        """
        request = service_pb2.RepositoryModelLoadRequest(model_name=model)
        self._call(self._stub.RepositoryModelLoad, request, timeout_s, self._metadata)

    def unloaded(self) -> set[str]:
        """Models that are not there on purpose: somebody unloaded them, they were never loaded, or they are being
        loaded or unloaded now. A second load on top of that may never end.

        One whose process has died, or failed to load again, is not among them.
        """
        index = self._call(self._stub.RepositoryIndex, service_pb2.RepositoryIndexRequest(), QUICK_S, self._metadata)
        return {
            entry.name
            for entry in index.models
            if entry.state in ("", "LOADING", "UNLOADING") or (entry.state, entry.reason) == ("UNAVAILABLE", "unloaded")
        }

    def ready(self) -> set[str]:
        """Models of which a version answers."""
        index = self._call(self._stub.RepositoryIndex, service_pb2.RepositoryIndexRequest(), QUICK_S, self._metadata)
        return {entry.name for entry in index.models if entry.state == "READY"}

    def version(self, model: str) -> str:
        """The newest version of `model` that is ready; empty when none is."""
        index = self._call(self._stub.RepositoryIndex, service_pb2.RepositoryIndexRequest(), QUICK_S, self._metadata)
        ready = [entry.version for entry in index.models if entry.name == model and entry.state == "READY"]
        return max(ready, key=int, default="")

    def answered(self) -> dict[str, int]:
        """How many requests each model has answered well since it was loaded."""
        found = self._call(self._stub.ModelStatistics, service_pb2.ModelStatisticsRequest(), QUICK_S)
        return {one.name: int(one.inference_stats.success.count) for one in found.model_stats}

    def config(self, model: str) -> Any:
        """The `ModelConfig` of a loaded model."""
        request = service_pb2.ModelConfigRequest(name=model)
        return self._call(self._stub.ModelConfig, request, QUICK_S).config

    def infer(self, model: str, inputs: Mapping[str, NDArray[Any]], timeout_s: float) -> Tensors:
        """One answer.

        Raises:
            DeadlineExceeded: none came in time.
            Unavailable: the server is not there.
            ServingError: what came is an error; the text is as it came.
        """
        return _outputs(self._call(self._stub.ModelInfer, _request(model, inputs), timeout_s))

    def stream(self, model: str, inputs: Mapping[str, NDArray[Any]], timeout_s: float) -> Tensors:
        """The last answer that a decoupled model gives before it says that it has ended; raises as `infer` does."""
        request = _request(model, inputs)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        responses = self._call(self._stub.ModelStreamInfer, iter([request]), timeout_s)
        last: Tensors = {}
        try:
            for response in responses:
                if response.error_message:
                    raise ServingError(response.error_message)
                last = _outputs(response.infer_response) or last
                if response.infer_response.parameters["triton_final_response"].bool_param:
                    return last
        except grpc.RpcError as error:
            raise _typed(error, self._url) from None
        finally:
            responses.cancel()
        raise ServingError(f"Model `{model}` ended its stream without saying so.")

    def close(self) -> None:
        """Close the connection; calls that wait fail."""
        self._channel.close()

    def _call(self, method: Any, request: Any, timeout_s: float, metadata: Any = ()) -> Any:
        try:
            return method(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise _typed(error, self._url) from None
        except ValueError:  # the channel was closed meanwhile
            raise Unavailable(f"The connection to {self._url} is closed.") from None


def _typed(error: Any, url: str) -> ServingError:
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"{url} did not answer in time.")
    if code == grpc.StatusCode.CANCELLED or "connect" in details or details == "Socket closed":
        return Unavailable(f"No server answers at {url} ({details}).")
    return ServingError(details or str(code))


def _request(model: str, inputs: Mapping[str, NDArray[Any]]) -> Any:
    message = service_pb2.ModelInferRequest(model_name=model, id=PROBE_ID)
    for name, array in inputs.items():
        message.inputs.add(name=name, datatype=_TYPES[array.dtype.name], shape=array.shape)
        message.raw_input_contents.append(_pack(array))
    return message


def _pack(array: NDArray[Any]) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    return b"".join(struct.pack("<I", len(element)) + element for element in array.ravel())


def _outputs(response: Any) -> Tensors:
    try:
        pairs = zip(response.outputs, response.raw_output_contents, strict=True)
        return {tensor.name: _unpack(raw, tensor.datatype).reshape(tensor.shape) for tensor, raw in pairs}
    except (ValueError, KeyError) as error:
        raise ServingError(f"The server's answer is not understood ({error}).") from None


def _unpack(raw: bytes, kind: str) -> NDArray[Any]:
    if kind != "BYTES":
        return np.frombuffer(raw, _ARRAYS[kind])
    elements, at = [], 0
    while at < len(raw):
        begin = at + 4
        at = begin + int.from_bytes(raw[at:begin], "little")
        elements.append(raw[begin:at])
    if at > len(raw):
        raise ValueError("a tensor whose last element is cut short")
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array
