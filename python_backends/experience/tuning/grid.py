"""What a tuner tries: grids as data, resolved for a number and a width of vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import sqrt
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from pixelis.index_config import IndexConfig, Kind, Storage

POINTS_PER_LIST = 39
"""Fewer to a k-means centre say little of it (FAISS warns below)."""


class Grid(BaseModel):
    """Every combination of what is listed.

    Attributes:
        kind: of the index.
        built: parameters that are fixed when it is built -> values.
        searched: parameters that may change between two searches -> values, from the quick to the thorough.
        subvector: dimensions that one subquantiser of `ivf_pq` sees; those that do not divide the width are left out.
        pca: widths that PCA projects to; 0 = no PCA. Those that are not smaller are left out.
        refine: how original vectors are kept; none = candidates are not ranked again.
        factors: candidates for each vector that is asked for, where they are ranked again.
    """

    model_config = ConfigDict(extra="forbid")

    kind: str
    built: dict[str, list[Any]] = Field(default_factory=dict)
    searched: dict[str, list[Any]] = Field(default_factory=dict)
    subvector: list[int] = Field(default_factory=lambda: [0])
    pca: list[int] = Field(default_factory=lambda: [0])
    refine: list[Storage] | list[None] = Field(default_factory=lambda: [None])
    factors: list[float] = Field(default_factory=lambda: [1.0])

    def builds(self, count: int, width: int) -> Iterator[IndexConfig]:
        """Configurations to build for `count` vectors of `width`, with the quickest search parameters."""
        for pca, refine, subvector in product(self.pca, self.refine, self.subvector):
            seen = pca or width
            if pca >= width or (subvector and seen % subvector):
                continue
            for built in _combinations(self.built):
                index = {"kind": self.kind, **built, **{name: values[0] for name, values in self.searched.items()}}
                if subvector:
                    index["subquantizers"] = seen // subvector
                if _fits(index, count):
                    yield IndexConfig.model_validate(
                        {
                            "index": index,
                            "transform": {"kind": "pca", "width": pca} if pca else None,
                            "refine": {"storage": refine, "factor": self.factors[0]} if refine else None,
                        }
                    )

    def searches(self, built: IndexConfig) -> Iterator[list[IndexConfig]]:
        """Chains of search parameters for one built index, each from the quick to the thorough."""
        factors = self.factors if built.refine is not None else [None]
        for factor in factors:
            yield [_with(built, searched, factor) for searched in _combinations(self.searched)]


def _combinations(values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _with(config: IndexConfig, searched: dict[str, Any], factor: float | None) -> IndexConfig:
    refine = config.refine.model_copy(update={"factor": factor}) if config.refine is not None else None
    return config.model_copy(update={"index": config.index.model_copy(update=searched), "refine": refine})


def _fits(index: dict[str, Any], count: int) -> bool:
    """Whether so many lists make sense for so many vectors: about their root."""
    lists = index.get("lists")
    return lists is None or (sqrt(count) / 2 <= lists <= 8 * sqrt(count) and lists * POINTS_PER_LIST <= count)


_EF = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
_PROBES = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128]
_LISTS = [64, 256, 1024, 4096]
_FULL = [Storage.FLOAT32]

GRIDS: tuple[Grid, ...] = (
    Grid(kind="flat"),
    Grid(kind="flat", pca=[32, 64, 128], refine=_FULL, factors=[1, 2, 4, 8, 16, 32, 64]),
    Grid(kind="ivf_flat", built={"lists": _LISTS}, searched={"probes": _PROBES}),
    Grid(
        kind="ivf_flat",
        built={"lists": _LISTS},
        searched={"probes": _PROBES},
        pca=[64, 128],
        refine=_FULL,
        factors=[2, 4, 8],
    ),
    Grid(
        kind="ivf_pq",
        built={"lists": _LISTS, "bits": [4], "fast_scan": [True]},
        searched={"probes": _PROBES},
        subvector=[2, 4],
        pca=[0, 64, 128],
        refine=_FULL,
        factors=[4, 8, 16, 32],
    ),
    Grid(
        kind="ivf_pq",
        built={"lists": _LISTS, "bits": [8]},
        searched={"probes": _PROBES},
        subvector=[4],
        pca=[64, 128],
        refine=_FULL,
        factors=[4, 8, 16],
    ),
    Grid(kind="hnsw", built={"m": [16, 32], "ef_construction": [200]}, searched={"ef_search": _EF}),
    Grid(
        kind="hnsw",
        built={"m": [16, 32], "ef_construction": [200]},
        searched={"ef_search": _EF},
        pca=[64, 128, 256],
        refine=_FULL,
        factors=[1, 2, 4, 8],
    ),
    Grid(
        kind="hnsw",
        built={"m": [16], "ef_construction": [200], "storage": [Storage.INT8]},
        searched={"ef_search": _EF},
        pca=[0, 128],
        refine=_FULL,
        factors=[1, 2, 4],
    ),
    Grid(kind="lsh", built={"bits": [512, 1024]}, refine=_FULL, factors=[4, 16, 64, 128]),
)
"""LSH is there to be seen beside the others."""


def kinds(grids: Sequence[Grid]) -> list[str]:
    """Kinds of index that are tried."""
    known = [part.model_fields["kind"].default for part in get_args(get_args(Kind)[0])]
    return [kind for kind in known if any(grid.kind == kind for grid in grids)]
