"""A configured segmenter: two ONNX graphs of segment_anything's signature, behind this project's names.

    encoder   image [1, 3, 1024, 1024] -> image_embeddings          IMAGE -> EMBEDDING
    decoder   image_embeddings, point_coords, point_labels,
              (mask_input, has_mask_input,) orig_im_size
              -> masks, iou_predictions                             EMBEDDING, POINTS, LABELS, SIZE -> MASKS, SCORES

What is never asked for becomes a constant (there is no earlier mask), and of several masks the one with the best
estimate alone leaves the graph: a mask is as large as the image, in 32 bits a pixel. Either half knows both files, so
that what is made of a pair can be told from what is made of another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from builder.sources.base import Source, Tensors
from builder.sources.ocr import constant, replace_ends
from builder.sources.pictures import scene
from builder.sources.segmenter_ports import Port, Ports, read_ports
from pixelis.errors import BuildError, SetupError
from python_backends.engine.onnxruntime_engine import open_session
from python_backends.visual_ops.pair import DECODER, ENCODER
from python_backends.visual_ops.segmenter import FOREGROUND, MASK_SIDE, PADDING, SIDE, prepared

if TYPE_CHECKING:
    import onnx

EMBEDDINGS = "image_embeddings"
MASKS, ESTIMATES = "masks", "iou_predictions"
WIDTH, HEIGHT = 640, 420
"""Of the generated picture that a pair is tried on."""
CLICK = (320.0, 210.0)
OURS = {EMBEDDINGS: "EMBEDDING", "point_coords": "POINTS", "point_labels": "LABELS", "orig_im_size": "SIZE"}
"""The decoder's inputs that vary from click to click."""


def picture() -> NDArray[np.uint8]:
    """A generated picture, `[HEIGHT, WIDTH, 3]` RGB."""
    return scene(WIDTH, HEIGHT, 7)


class _Half(Source):
    """One of the two graphs.

    Args:
        encoder: path of its file.
        decoder: of the other's.
    """

    def __init__(self, encoder: str, decoder: str) -> None:
        self.encoder, self.decoder = Path(encoder), Path(decoder)

    def files(self) -> Sequence[Path]:
        """Both graphs, and what lies beside them of their weights."""
        graphs = [self.encoder, self.decoder]
        return [*graphs, *(path for graph in graphs if graph.is_file() for path in read_ports(graph).beside)]

    @cached_property
    def encoding(self) -> Ports:
        """What the encoder takes and gives."""
        return read_ports(self.encoder)

    @cached_property
    def decoding(self) -> Ports:
        """What the decoder takes and gives."""
        return read_ports(self.decoder)

    def encode(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The encoder's own answer."""
        (port,) = self.encoding.inputs.values()
        feed = {port.name: image.astype(port.dtype)}
        return np.asarray(opened(self.encoder).run([EMBEDDINGS], feed)[0], np.float32)


class SegmentEncoder(_Half):
    """IMAGE FP32 `[B, 3, 1024, 1024]`, normalised -> EMBEDDING FP32 `[B, channels, rows, columns]`; B is 1."""

    name: ClassVar[str] = ENCODER

    def samples(self) -> list[Tensors]:
        """A generated picture."""
        return [{"IMAGE": prepared(picture())}]

    def reference(self, inputs: Tensors) -> Tensors:
        """The graph itself."""
        return {"EMBEDDING": self.encode(inputs["IMAGE"])}

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx`."""
        from onnx import TensorProto

        model = _loaded(self.encoder)
        (port,) = self.encoding.inputs.values()
        before, after = [_cast("IMAGE", port.name, port.kind)], [_cast(EMBEDDINGS, "EMBEDDING", TensorProto.FLOAT)]
        inputs, outputs = (
            [_value("IMAGE", 3, SIDE, SIDE)],
            [_value("EMBEDDING", *embedding(self.encoding, self.decoding))],
        )
        replace_ends(model.graph, before, after, inputs, outputs)
        _save(model, directory)


class SegmentDecoder(_Half):
    """EMBEDDING, POINTS `[B, 2, 2]`, LABELS `[B, 2]`, SIZE `[B, 2]` -> MASKS `[B, 1, height, width]`, SCORES `[B, 1]`.

    B is 1; the second point is the padding that says that there is no box; SIZE is (height, width) of the image.
    """

    name: ClassVar[str] = DECODER

    def samples(self) -> list[Tensors]:
        """Clicks on a generated picture, and a mask of another shape."""
        seen = self.encode(prepared(picture()))
        clicks = ((CLICK, (HEIGHT, WIDTH)), ((60.0, 40.0), (WIDTH, HEIGHT)))
        return [
            {
                "EMBEDDING": seen,
                "POINTS": np.array([[point, (0, 0)]], np.float32) * np.float32(SIDE / WIDTH),
                "LABELS": np.array([[FOREGROUND, PADDING]], np.float32),
                "SIZE": np.array([size], np.float32),
            }
            for point, size in clicks
        ]

    def reference(self, inputs: Tensors) -> Tensors:
        """The graph itself, and the mask with its best estimate."""
        ports = self.decoding.inputs
        feeds = {name: inputs[ours].astype(ports[name].dtype) for name, ours in OURS.items()}
        feeds["orig_im_size"] = feeds["orig_im_size"][0]
        feeds.update({name: _nothing(port) for name, port in ports.items() if name not in OURS})
        masks, estimates = opened(self.decoder).run([MASKS, ESTIMATES], feeds)
        best = int(estimates[0].argmax())
        found = {"MASKS": masks[:, best : best + 1], "SCORES": estimates[:, best : best + 1]}
        return {name: np.asarray(array, np.float32) for name, array in found.items()}

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx`."""
        from onnx import TensorProto, helper

        model, ports = _loaded(self.decoder), self.decoding.inputs
        graph, node = model.graph, helper.make_node
        for name, port in ports.items():
            if name not in OURS:
                constant(graph, name, _nothing(port))
        constant(graph, "pixelis_flat", np.array([-1], np.int64))
        constant(graph, "pixelis_least", np.ones(1, np.float32))  # a warm-up of zeros asks for a mask without a pixel
        before = [_cast(OURS[name], name, ports[name].kind) for name in OURS if name != "orig_im_size"]
        before += [
            node("Reshape", ["SIZE", "pixelis_flat"], ["pixelis_size"]),
            node("Max", ["pixelis_size", "pixelis_least"], ["pixelis_seen"]),
            _cast("pixelis_seen", "orig_im_size", ports["orig_im_size"].kind),
        ]
        after = [
            node("ArgMax", [ESTIMATES], ["pixelis_likeliest"], axis=1, keepdims=0),
            node("Gather", [MASKS, "pixelis_likeliest"], ["pixelis_mask"], axis=1),
            node("Gather", [ESTIMATES, "pixelis_likeliest"], ["pixelis_score"], axis=1),
            _cast("pixelis_mask", "MASKS", TensorProto.FLOAT),
            _cast("pixelis_score", "SCORES", TensorProto.FLOAT),
        ]
        size = embedding(self.encoding, self.decoding)
        inputs = [_value("EMBEDDING", *size), _value("POINTS", 2, 2), _value("LABELS", 2), _value("SIZE", 2)]
        outputs = [_value("MASKS", "masks", "height", "width"), _value("SCORES", "masks")]
        replace_ends(graph, before, after, inputs, outputs)
        _save(model, directory)


def embedding(encoder: Ports, decoder: Ports) -> tuple[int, int, int]:
    """Channels, rows and columns of an image's embedding, where both graphs, or one of them, say so.

    Raises:
        BuildError: neither does, or they contradict one another.
    """
    given, taken = encoder.outputs[EMBEDDINGS], decoder.inputs[EMBEDDINGS]
    pairs = [{a, b} - {-1} for a, b in zip(given.dims, taken.dims, strict=False)][1:]
    if len(given.dims) != len(taken.dims) or len(pairs) != 3 or any(len(sizes) > 1 for sizes in pairs):
        raise BuildError(
            f"The encoder gives {given}, the decoder takes {taken}.",
            mend="Put the two halves of one segmenter into the folder.",
        )
    if not all(pairs):
        mend = "Export one of them with a fixed size of image_embeddings, as export_onnx_model.py does."
        raise BuildError("Neither graph says how large an embedding is.", mend=mend)
    channels, rows, columns = (sizes.pop() for sizes in pairs)
    return channels, rows, columns


def opened(path: Path) -> Any:
    """The graph at `path` in ONNX Runtime, on one thread.

    Raises:
        BuildError: ONNX Runtime refuses it.
    """
    try:
        return open_session(path, 1)
    except SetupError as error:
        mend = "Export it with operators that this ONNX Runtime has: opset 17 is one that it reads."
        raise BuildError(f"{path}: {error.message}", mend=mend) from None


def _nothing(port: Port) -> NDArray[Any]:
    """Zeros for an input that says that there is no mask to start from."""
    usual = (1, 1, MASK_SIDE, MASK_SIDE)
    sizes = [size if size > 0 else known for size, known in zip(port.dims, usual, strict=False)]
    return np.zeros(sizes, port.dtype)


def _loaded(path: Path) -> onnx.ModelProto:
    """A graph with its weights, wherever they lie."""
    import onnx

    return onnx.load(str(path))


def _save(model: onnx.ModelProto, directory: Path) -> None:
    from builder.formats.onnx import MODEL_FILE, save

    save(model, directory / MODEL_FILE)


def _cast(before: str, after: str, kind: int) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("Cast", [before], [after], to=kind)


def _value(name: str, *dims: int | str) -> onnx.ValueInfoProto:
    """32-bit floats, with a batch axis in front."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])
