"""How an index over keys is built and searched.

    key [D] -> transform (PCA, OPQ) -> kind (flat, hnsw, ivf_flat, ivf_pq, lsh) -> k * factor candidates
            -> refine: the candidates again, on the original vectors -> k

Every part has parameters that are fixed when the index is built, and some that may change between two searches
(`ef_search`, `probes`, `factor`). Similarity is the inner product throughout.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Storage(str, Enum):
    """How a vector is kept: bit for bit, in half precision, or as one byte a dimension."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    searched: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may change between two searches."""

    @property
    def verbatim(self) -> bool:
        """Whether the vectors that it is given can be read back bit for bit."""
        return False


class Flat(_Part):
    """Every vector is compared: recall 1, cost linear in their number."""

    kind: Literal["flat"] = "flat"

    @property
    def verbatim(self) -> bool:
        """Flat keeps what it is given."""
        return True


class Hnsw(_Part):
    """A navigable small-world graph (Malkov and Yashunin, arXiv 1603.09320)."""

    searched: ClassVar[frozenset[str]] = frozenset({"ef_search"})

    kind: Literal["hnsw"] = "hnsw"
    m: int = Field(16, ge=4, le=64, description="links of a vector on each layer, twice as many on the lowest")
    ef_construction: int = Field(100, ge=8, le=1000, description="candidates while a vector is linked in")
    ef_search: int = Field(32, ge=1, le=4096, description="candidates of a search; at least as many as are asked for")
    storage: Storage = Field(Storage.FLOAT32, description="how the graph keeps its vectors")

    @property
    def verbatim(self) -> bool:
        """Only as float32."""
        return self.storage is Storage.FLOAT32


class IvfFlat(_Part):
    """Lists around k-means centres; the nearest lists are scanned."""

    searched: ClassVar[frozenset[str]] = frozenset({"probes"})

    kind: Literal["ivf_flat"] = "ivf_flat"
    lists: int = Field(256, ge=1, le=2**18)
    probes: int = Field(8, ge=1, le=2**18, description="lists that a search scans")

    @property
    def verbatim(self) -> bool:
        """The lists hold what they are given."""
        return True


class IvfPq(_Part):
    """Lists of product-quantised residuals (Jégou et al., TPAMI 2011); 4-bit codes are scanned in registers.

    `fast_scan` is the layout of André et al. (VLDB 2015): lookup tables in SIMD registers, 32 codes at a time.
    """

    searched: ClassVar[frozenset[str]] = frozenset({"probes"})

    kind: Literal["ivf_pq"] = "ivf_pq"
    lists: int = Field(256, ge=1, le=2**18)
    probes: int = Field(8, ge=1, le=2**18, description="lists that a search scans")
    subquantizers: int = Field(32, ge=1, description="codes of a vector; must divide the width that they see")
    bits: int = Field(8, ge=4, le=8, description="bits of a code")
    fast_scan: bool = Field(False, description="with 4 bits only")

    @model_validator(mode="after")
    def _fits(self) -> IvfPq:
        if self.fast_scan and self.bits != 4:
            raise ValueError("fast_scan reads codes of 4 bits: set bits to 4")
        return self


class Lsh(_Part):
    """Signs of a random rotation (Charikar 2002), compared by Hamming distance. Kept to be compared with."""

    kind: Literal["lsh"] = "lsh"
    bits: int = Field(512, ge=8, le=2**14, multiple_of=8, description="bits of a code")


class Pca(_Part):
    """Project to the directions of the largest second moments; not centred, as that would change inner products."""

    kind: Literal["pca"] = "pca"
    width: int = Field(ge=1)


class Opq(_Part):
    """A rotation under which product quantisation loses less (Ge et al., CVPR 2013)."""

    kind: Literal["opq"] = "opq"
    width: int = Field(ge=1, description="to which it projects as well")
    iterations: int = Field(10, ge=1, le=100)


class Refine(_Part):
    """Rank the candidates again by their inner products with the original vectors."""

    searched: ClassVar[frozenset[str]] = frozenset({"factor"})

    factor: float = Field(4.0, ge=1, le=1000, description="candidates for each vector that is asked for")
    storage: Storage = Field(Storage.FLOAT32, description="how the original vectors are kept")

    @property
    def verbatim(self) -> bool:
        """Only as float32."""
        return self.storage is Storage.FLOAT32


Kind = Annotated[Flat | Hnsw | IvfFlat | IvfPq | Lsh, Field(discriminator="kind")]
Transform = Annotated[Pca | Opq, Field(discriminator="kind")]


class IndexConfig(_Part):
    """One index. The default is exact."""

    index: Kind = Field(default_factory=Flat)
    transform: Transform | None = None
    refine: Refine | None = None

    @model_validator(mode="after")
    def _fits(self) -> IndexConfig:
        if isinstance(self.transform, Opq) and not isinstance(self.index, IvfPq):
            raise ValueError("opq is a rotation for product quantisation: use it with ivf_pq, or pca")
        if isinstance(self.index, IvfPq):
            _divides(self.index.subquantizers, self.transform.width if self.transform else None)
        return self

    @property
    def verbatim(self) -> bool:
        """Whether the vectors can be read back bit for bit, which also makes every similarity exact."""
        if self.refine is not None:
            return self.refine.verbatim
        return self.transform is None and self.index.verbatim

    @property
    def exact(self) -> bool:
        """Whether it finds the nearest vectors for certain."""
        return isinstance(self.index, Flat) and self.transform is None

    def built(self) -> dict[str, Any]:
        """What is fixed once the index is built."""
        parts = {"index": self.index, "transform": self.transform, "refine": self.refine}
        return {
            name: part.model_dump(mode="json", exclude=set(part.searched)) if part is not None else None
            for name, part in parts.items()
        }

    def searching(self) -> dict[str, Any]:
        """What may change between two searches."""
        parts = [part for part in (self.index, self.refine) if part is not None]
        return {name: getattr(part, name) for part in parts for name in sorted(part.searched)}

    @property
    def label(self) -> str:
        """A short name: `pca128,hnsw16+float32`."""
        transform = f"{self.transform.kind}{self.transform.width}," if self.transform else ""
        refine = f"+{self.refine.storage.value}" if self.refine else ""
        return f"{transform}{_name(self.index)}{refine}"


class Live(_Part):
    """When an index that changes while it is searched is built again.

    Fewer than `flat_below` vectors, and those that came since the last merge, are compared one by one.
    """

    flat_below: int = Field(10_000, ge=0, description="so many vectors and fewer need no trained index")
    tail: int = Field(512, ge=1, description="new vectors that are merged together")
    dead_share: float = Field(0.2, gt=0, le=1, description="of removed vectors, from which it is built without them")
    growth: float = Field(2.0, gt=1, description="times as many vectors as it learned from, and it learns again")


def _divides(subquantizers: int, width: int | None) -> None:
    if width is not None and width % subquantizers:
        raise ValueError(f"{subquantizers} subquantizers do not divide a width of {width}")


def _name(kind: Flat | Hnsw | IvfFlat | IvfPq | Lsh) -> str:
    if isinstance(kind, Hnsw):
        storage = "" if kind.storage is Storage.FLOAT32 else f"-{kind.storage.value}"
        return f"hnsw{kind.m}{storage}"
    if isinstance(kind, IvfFlat):
        return f"ivf{kind.lists}"
    if isinstance(kind, IvfPq):
        return f"ivf{kind.lists},pq{kind.subquantizers}x{kind.bits}{'fs' if kind.fast_scan else ''}"
    return f"lsh{kind.bits}" if isinstance(kind, Lsh) else "flat"
