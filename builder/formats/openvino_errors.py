"""What to say of an ONNX operator that OpenVINO does not read."""

from __future__ import annotations

import re
from pathlib import Path

from pixelis.errors import BuildError


def conversion_failure(model: str, graph: Path, report: str) -> BuildError:
    """The operators that the converter names, where they are in the graph, and the way round.

    Args:
        model: name of the source.
        graph: the ONNX file.
        report: the text of OpenVINO's `OpConversionFailure`.
    """
    lists = re.findall(r"No conversion rule found for operations: (.+)", report)
    # standard operators are told with their version: Bernoulli-20
    named = [re.sub(r"-\d+$", "", name.strip()) for text in lists for name in text.split(",") if name.strip()]
    if not named:
        return BuildError(f"OpenVINO cannot convert `{model}`: {' '.join(report.split())[:500]}.")
    places = "; ".join(f"{name} at {_places(graph, name)}" for name in named)
    return BuildError(
        f"OpenVINO does not know operators of `{model}`: {places}.",
        mend="Write them with standard operators in the source (its export_onnx), or build another format.",
    )


def _places(graph: Path, operator: str, most: int = 3) -> str:
    import onnx

    domain, _, kind = operator.rpartition(".")
    nodes = onnx.load(str(graph), load_external_data=False).graph.node
    domains = (domain,) if domain else ("", "ai.onnx")
    found = [node.name or node.output[0] for node in nodes if node.op_type == kind and node.domain in domains]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "a place that is not told") + more
