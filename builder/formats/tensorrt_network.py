"""From an ONNX graph to the bytes of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builder.formats.tensorrt_library import RTX_TARGETS, Library
from builder.optimization import OptimizationConfig
from builder.shapes import Profile
from pixelis.errors import BuildError
from pixelis.machine import Gpu

Parsed = tuple[Any, Any, Any]
"""Builder, network, parser: the first two need the third alive."""


def _listener(trt: Any) -> Any:
    """A logger that prints nothing and keeps the library's errors: exceptions do not say why a build failed."""

    class Listener(trt.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(text)

    return Listener()


def parse(library: Library, graph: Path, model: str) -> Parsed:
    """A strongly typed network: precisions are those of the graph.

    Raises:
        BuildError: operators that the parser lacks, by name and place, or a graph that it cannot read.
    """
    trt = library.trt
    logger = _listener(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if parser.parse(graph.read_bytes()):
        return builder, network, parser
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    raise parse_failure(model, [(e.node_operator(), e.node_name(), e.desc()) for e in errors])


def parse_failure(model: str, errors: Sequence[tuple[str, str, str]]) -> BuildError:
    """What to say of the parser's errors: operator, node and description of each.

    The node's name is the place in the source: exporters build it of the module's path.
    """
    lacking = [f"{op} at {node}" for op, node, text in errors if "Plugin not found" in text]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return BuildError(
            f"TensorRT does not know operators of `{model}`: {', '.join(lacking[:3])}{more}.",
            mend="Write them with standard operators in the source (its export_onnx), or build another format.",
        )
    op, node, text = errors[0] if errors else ("", "", "no reason given")
    where = f" at {op} {node}" if node else ""
    return BuildError(
        f"TensorRT cannot read the graph of `{model}`{where}: {' '.join(text.split())[:300]}.",
        mend="Change that node in the source (its export_onnx), or build another format.",
    )


def build(
    library: Library,
    parsed: Parsed,
    profiles: Sequence[Profile],
    settings: OptimizationConfig,
    timing_cache: Path | None,
) -> bytes:
    """The engine's bytes.

    Args:
        library: which TensorRT.
        parsed: what `parse` returned.
        profiles: at least one.
        settings: the builder level.
        timing_cache: file that classic TensorRT keeps its measurements in; none for TensorRT-RTX, which measures when
            the engine is loaded.

    Raises:
        BuildError: the builder gave up.
    """
    poly, (builder, network, parser) = library.polygraphy, parsed
    shapes = []
    for profile in profiles:
        made = poly.Profile()
        for name in profile.minimum:
            made.add(name, profile.minimum[name], profile.usual[name], profile.maximum[name])
        shapes.append(made)
    options: dict[str, Any] = {"profiles": shapes, "tf32": False}  # fp32 means fp32
    if library.flavour == "classic":
        options |= {"builder_optimization_level": settings.builder_level, "load_timing_cache": _existing(timing_cache)}
    config = poly.CreateConfig(**options)
    if library.flavour == "rtx":
        config = poly.PostprocessConfig(config, lambda builder, network, config: _targets(library, config))
    keep = {"save_timing_cache": str(timing_cache)} if timing_cache else {}
    try:
        return bytes(poly.EngineBytesFromNetwork((builder, network), config, **keep)())
    except Exception as error:  # Polygraphy's own type, and what the bindings raise
        said = "; ".join(builder.logger.errors)
        raise BuildError(
            f"{library.version} could not build the engine: {' '.join((said or str(error)).split())[:300]}.",
            mend="Change what it names in the source (its export_onnx), or build another format.",
        ) from error
    finally:
        del parser


def _targets(library: Library, config: Any) -> None:
    config.num_compute_capabilities = len(RTX_TARGETS)
    for index, name in enumerate(RTX_TARGETS):
        config.set_compute_capability(getattr(library.trt.ComputeCapability, name), index)


def _existing(path: Path | None) -> str | None:
    return str(path) if path and path.is_file() else None


def timing_cache(state: Path, gpu: Gpu, library: Library) -> Path:
    """Where measurements of `gpu` under this library and driver are kept between builds."""
    name = f"sm{gpu.capability.replace('.', '')}-{library.trt.__version__}-{gpu.driver}.cache"
    path = state / "timing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
