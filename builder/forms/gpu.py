"""TorchScript for an NVIDIA GPU: the same module, traced there.

It is built where there is a GPU (`pixelis build --device cuda`), and nowhere else. The decoder's script is not among
these: it is one artifact for both, which its executor moves to the GPU. All that is said here was seen on an H200 with
PyTorch 2.11; `docs/performance.md` has the figures.

vision_encoder in bf16 is refused by its gate: TOKENS depends on the rest of the batch by 0.116 > 0.1 beyond 5 %. As
CUDA graphs (`compile_mode="reduce-overhead"`) it answers where its windows are equal; of the nano's, which are not, the
capture fails. AOTInductor compiled a package of every model there, and each ended the process that loaded it, one of a
single Linear layer too: a crash in `std::regex` inside the package. The other models were not judged there yet.
"""

from __future__ import annotations

from builder.candidate import Candidate, Exclusion
from builder.optimization import OptimizationConfig
from builder.tolerance import Precision

_PRECISIONS: dict[str, tuple[Precision, ...]] = {"vision_encoder": ("fp32", "fp16")}
"""By model, those that pass its gate there."""


def forms(model: str) -> tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]:
    """Candidates of `model` for a GPU. What is not among them needs no exclusion: those speak of forms for the CPU."""
    options = OptimizationConfig(device="cuda")
    return tuple(
        Candidate(format="torchscript", precision=precision, optimization=options)
        for precision in _PRECISIONS.get(model, ())
    ), ()
