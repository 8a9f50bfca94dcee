"""AOTInductor: one `model.pt2`, the source's module compiled to native code. This is `torch.compile` for serving.

The package holds machine code for the CPU that it was built on; `engine.json` names the instruction sets, and the
engine refuses it elsewhere. Serving needs no compiler.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.candidate import Candidate
from builder.formats import torch_attention, torch_module
from builder.formats.base import Description, Format
from builder.formats.torch_package import read_package, without_commands
from builder.sources.base import Source, TorchSource
from pixelis.errors import SetupError
from pixelis.machine import this_machine
from python_backends.engine.torch_settings import TorchSettings

MODEL_FILE = "model.pt2"
# Weights are constants, to be packed and folded; the number of threads is that of the process that serves.
# Precompiled headers would lie outside the scratch folder.
_OPTIONS = {
    "freezing": True,
    "cpp.dynamic_threads": True,
    "compile_threads": 1,
    "aot_inductor.precompile_headers": False,
    "cpp_cache_precompile_headers": False,
}


class AotInductorFormat(Format):
    """Export, compile, describe."""

    name = "aotinductor"
    file = MODEL_FILE
    packages = ("torch",)

    def require(self) -> None:
        """See that PyTorch and a C++ compiler are there.

        Raises:
            SetupError: one is not.
        """
        super().require()
        if shutil.which(_compiler()) is None:
            raise SetupError(
                f"The format {self.name} compiles C++, and there is no {_compiler()} here.",
                mend="Install Debian's package g++ (apt-get install g++), or name a compiler in CXX.",
            )

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        import torch
        import torch._inductor

        from python_backends.engine.aotinductor_engine import load_package

        traced, path = torch_module.prepare(source, candidate), directory / MODEL_FILE
        shapes = _shapes(traced.source)
        with torch_module.quiet(), torch.no_grad():
            with torch_attention.attention_as(candidate.optimization.attention, source.name):
                program = torch.export.export(
                    traced.module, traced.example, dynamic_shapes={"tensors": shapes}, strict=False
                )
            with _scratch() as compiler:
                options = {**_OPTIONS, "cpp.cxx": (None, compiler), "max_autotune": _autotuned(candidate)}
                torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)
        without_commands(path)
        settings = torch_module.check_axes(traced, load_package(path))
        replace(settings, features=this_machine().code, longest=_longest(program, traced.source)).write(directory)
        source.write_beside(directory)

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """Nothing more: Inductor's passes ran while compiling."""
        mode = candidate.optimization.compile_mode
        return [f"torch._inductor: weights frozen and packed, operators fused and compiled with -O3 (mode {mode})"]

    def describe(self, directory: Path) -> Description:
        """Operators and weights, read from the package; names and types from `engine.json`."""
        path = directory / MODEL_FILE
        inputs, outputs = torch_module.tensors(TorchSettings.read(directory))
        package = read_package(path)
        return Description(
            inputs=inputs,
            outputs=outputs,
            nodes=len(package.operators) + package.fused,
            parameters=package.parameters,
            weight_bytes=package.weight_bytes,
            size_bytes=path.stat().st_size,
            notes={
                "cpu": f"machine code for {' '.join(this_machine().vector)}: built for this kind of CPU alone",
                "attention": package.attention,
            },
        )


def _shapes(source: TorchSource) -> tuple[dict[int, Any], ...]:
    """Free axes of each input; the exporter finds out how long they may be."""
    import torch

    axes = source.dynamic_axes()
    return tuple(dict.fromkeys(axes.get(name, {}), torch.export.Dim.DYNAMIC) for name in source.inputs)


def _longest(program: Any, source: TorchSource) -> dict[str, int]:
    """By name of an axis, how long it may be at most, where the exported program says so (a table of positions)."""
    from torch.fx.experimental.symbolic_shapes import is_symbolic

    found: dict[str, int] = {}
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    for name, placed in zip(source.inputs, program.graph_signature.user_inputs, strict=True):
        for axis, label in source.dynamic_axes().get(name, {}).items():
            size = values[placed].shape[axis]
            bound = program.range_constraints.get(size.node.expr) if is_symbolic(size) else None
            if bound is not None and bound.upper.is_Integer:
                found[label] = min(int(bound.upper), found.get(label, int(bound.upper)))
    return found


def _autotuned(candidate: Candidate) -> bool:
    return candidate.optimization.compile_mode == "max-autotune"


@contextmanager
def _scratch() -> Iterator[str]:
    """A cache of Inductor's own for one build, gone afterwards, and a compiler that writes no path of this machine."""
    import torch

    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="pixelis-inductor-") as folder:
        compiler = Path(folder) / "g++"
        maps = f"-ffile-prefix-map={folder}=. -ffile-prefix-map={Path(torch.__file__).parent}=torch"
        compiler.write_text(f'#!/bin/sh\nexec {_compiler()} {maps} "$@"\n', encoding="utf-8")
        compiler.chmod(0o700)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        try:
            yield str(compiler)
        finally:
            if before is None:
                del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            else:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


def _compiler() -> str:
    return os.environ.get("CXX", "g++")
