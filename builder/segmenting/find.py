"""The two graphs of a segmenter in a folder, told apart by what they take and give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.sources.segmenter import EMBEDDINGS, ESTIMATES, MASKS, OURS
from builder.sources.segmenter_ports import Ports, read_ports
from pixelis.errors import BuildError
from python_backends.visual_ops.segmenter import SIDE

EARLIER = ("mask_input", "has_mask_input")
"""The decoder's inputs that give it a mask to start from; not every export has them."""
SIGNATURE = (
    f"An encoder takes one image [1, 3, {SIDE}, {SIDE}] and gives {EMBEDDINGS}; a decoder takes "
    f"{', '.join(OURS)} ({', '.join(EARLIER)}) and gives {MASKS}, {ESTIMATES}"
)


@dataclass(frozen=True)
class Given:
    """Both files, and what each takes and gives."""

    encoder: Path
    decoder: Path
    encoding: Ports
    decoding: Ports


def find(directory: Path) -> Given:
    """The encoder and the decoder in `directory`.

    Raises:
        BuildError: the folder is not there, holds none or several of one kind, a file that is no ONNX, or a graph of
            another signature.
    """
    if not directory.is_dir():
        mend = "Name a folder that holds an encoder and a decoder, or `none` to serve without a segmenter."
        raise BuildError(f"There is no folder {directory}.", mend=mend)
    graphs = {path.absolute(): read_ports(path) for path in sorted(directory.glob("*.onnx"))}
    encoder = _only(directory, graphs, "encoder", [path for path, ports in graphs.items() if _encodes(ports)])
    decoder = _only(directory, graphs, "decoder", [path for path, ports in graphs.items() if _decodes(ports)])
    _check_encoder(encoder, graphs[encoder])
    _check_decoder(decoder, graphs[decoder])
    return Given(encoder, decoder, graphs[encoder], graphs[decoder])


def _encodes(ports: Ports) -> bool:
    return EMBEDDINGS in ports.outputs


def _decodes(ports: Ports) -> bool:
    return EMBEDDINGS in ports.inputs


def _only(directory: Path, graphs: dict[Path, Ports], what: str, found: list[Path]) -> Path:
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        mend = "Leave the one that is to serve, and move the others elsewhere."
        raise BuildError(f"{directory} holds {len(found)} graphs that could be the {what}: {names}.", mend=mend)
    there = "; ".join(f"{path.name}: {ports}" for path, ports in graphs.items()) or "no ONNX file"
    raise BuildError(f"{directory} holds no {what} ({there}).", mend=f"{SIGNATURE}.")


def _check_encoder(path: Path, ports: Ports) -> None:
    images = list(ports.inputs.values())
    if len(images) != 1 or not images[0].fits(1, 3, SIDE, SIDE) or len(ports.outputs[EMBEDDINGS].dims) != 4:
        mend = f"{SIGNATURE}. The image is scaled, normalised and padded before it gets there."
        raise BuildError(f"{path.name} is no encoder that is known: {ports}.", mend=mend)


def _check_decoder(path: Path, ports: Ports) -> None:
    missing = [name for name in OURS if name not in ports.inputs]
    missing += [name for name in (MASKS, ESTIMATES) if name not in ports.outputs]
    unknown = sorted(ports.inputs.keys() - {*OURS, *EARLIER})
    shapes = {"point_coords": (1, 2, 2), "point_labels": (1, 2)}
    wrong = [
        str(ports.inputs[name]) for name, dims in shapes.items() if not missing and not ports.inputs[name].fits(*dims)
    ]
    faults = [f"it lacks {name}" for name in missing]
    faults += [f"it takes {name}, which nobody gives" for name in unknown]
    faults += [f"{port} takes no click with its padding" for port in wrong]
    if faults:
        mend = f"{SIGNATURE}. segment_anything's export_onnx_model.py writes such a one."
        raise BuildError(f"{path.name} is no decoder that is known: {'; '.join(faults)}.", mend=mend)
