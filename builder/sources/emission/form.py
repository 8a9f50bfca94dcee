"""What weights become: the numbers of a candidate that the emitted graph depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from builder.candidate import Candidate
from builder.sources.emission.blocks import Scheme
from pixelis.errors import BuildError

ACCURACY_LEVEL = 4
"""Of MatMulNBits: activations are rounded to int8, a scale for each block of a row, so that integers are multiplied."""


@dataclass(frozen=True)
class Form:
    """How matrices are stored.

    Attributes:
        bits: 32 or 16 for floats, 8 or 4 for blocks that share a scale.
        block: weights of a block.
        scheme: how its scale is found.
        excluded: names of nodes whose matrix stays in floats of 32 bits.
        own_head: the vocabulary's projection has a matrix of its own, also where it is the embedding table.
    """

    bits: int = 32
    block: int = 32
    scheme: Scheme = "symmetric"
    excluded: tuple[str, ...] = ()
    own_head: bool = False

    @property
    def in_blocks(self) -> bool:
        """Whether weights share scales."""
        return self.bits < 16

    @property
    def head(self) -> Form:
        """Of the vocabulary's projection, which 4 bits would cost too much."""
        return replace(self, bits=8, scheme="symmetric") if self.bits == 4 else self

    def of(self, node: str) -> Form:
        """Of the matrix of the node of that name."""
        return Form() if node in self.excluded else self

    @classmethod
    def of_candidate(cls, candidate: Candidate) -> Form:
        """What a candidate asks for.

        Raises:
            BuildError: scales of activations, for which weights in fp32 are converted.
        """
        options = candidate.optimization
        if candidate.quantization == "none":
            return cls(bits=16 if candidate.precision == "fp16" else 32)
        if candidate.quantization != "weights":
            raise BuildError(f"{candidate.label} is made from the fp32 graph, not emitted.")
        bits: int = {"int8": 8, "int4": 4}[candidate.precision]
        usual: Scheme = "k_quant" if bits == 4 else "symmetric"
        scheme: Scheme = usual if options.block_scales == "auto" else options.block_scales
        return cls(bits, options.group_size, scheme, options.exclude_nodes)

    @property
    def words(self) -> str:
        """For the manifest."""
        if not self.in_blocks:
            return f"matrices in fp{self.bits}"
        head = " (the vocabulary's projection 8)" if self.bits == 4 else ""
        return (
            f"MatMulNBits: {self.bits} bits in blocks of {self.block}{head}, scales {self.scheme}, accuracy level "
            f"{ACCURACY_LEVEL} (activations in int8, a scale a block)"
        )
