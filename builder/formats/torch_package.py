"""What an AOTInductor package says of itself: its weights and the operators that its generated code calls."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

from builder.formats.torch_archive import rewrite
from builder.formats.torch_attention import NONE

_WEIGHT = re.compile(r"constants_info_\[\d+\]\.(data_size|shape) = \{?([\d, ]*)\}?;")
_CALL = re.compile(r"AOTI_TORCH_ERROR_CODE_CHECK\(aoti_torch_cpu_(\w+)\(")
_COMMAND = re.compile(rb"^// .*/\S+\.(?:wrapper|kernel)\.(?:cpp|o)\b.*$", re.MULTILINE)
_FUSED = re.compile(r"^ +cpp_fused_\w+\(", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """The facts.

    Attributes:
        operators: PyTorch's own operators that the code calls, in its order; whatever is not among them was fused.
        fused: calls of kernels that were generated.
        parameters: numbers in the weights.
        weight_bytes: their bytes.
    """

    operators: tuple[str, ...]
    fused: int
    parameters: int
    weight_bytes: int

    @property
    def attention(self) -> str:
        """The kernels of scaled dot-product attention that the code calls; it has no others to choose from."""
        found = sorted({f"aten::{name}" for name in self.operators if "scaled_dot_product" in name})
        return ", ".join(found) or NONE


def read_package(path: Path) -> Package:
    """Read it out of the generated source, which lies in the package beside its machine code."""
    with zipfile.ZipFile(path) as archive:
        wrapper = next(name for name in archive.namelist() if name.endswith(".wrapper.cpp"))
        source = archive.read(wrapper).decode()
    sizes, shapes = [], []
    for kind, text in _WEIGHT.findall(source):
        numbers = [int(number) for number in text.split(",") if number.strip()]
        if kind == "data_size":
            sizes += numbers
        else:
            shapes.append(prod(numbers))
    return Package(tuple(_CALL.findall(source)), len(_FUSED.findall(source)), sum(shapes), sum(sizes))


def without_commands(path: Path) -> None:
    """Leave out the compiler's command lines, comments of the generated source that name this machine's paths."""
    rewrite(path, lambda name, content: _COMMAND.sub(b"", content) if name.endswith(".cpp") else content)
