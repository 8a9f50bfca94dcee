"""The segmenter's two models as the spec has models. Neither is batched: an encoder's export has one image in it."""

from __future__ import annotations

from builder.model_spec import Call, ModelSpec
from builder.model_spec import tensor as _t
from builder.pipeline import Pipeline
from builder.segmenting.find import Given
from builder.sources.segmenter import embedding
from builder.store import Store
from pixelis.errors import BuildError
from python_backends.visual_ops.pair import DECODER, ENCODER, PAIR
from python_backends.visual_ops.segmenter import SIDE

CALLER = "visual_ops"
Size = tuple[int, int, int]
USUAL: Size = (256, 64, 64)
"""Of an embedding, where a manifest cannot be read."""


def specs_of(given: Given) -> tuple[ModelSpec, ModelSpec]:
    """Both models, made of the files in `given`.

    Raises:
        BuildError: the two do not belong together.
    """
    files = {"encoder": str(given.encoder), "decoder": str(given.decoder)}
    return _specs(embedding(given.encoding, given.decoding), files)


def _specs(size: Size, files: dict[str, str]) -> tuple[ModelSpec, ModelSpec]:
    source, seen = "builder.sources.segmenter", _t("EMBEDDING", "FP32", *size)
    encoder = ModelSpec(
        name=ENCODER,
        kind="engine",
        source=f"{source}:SegmentEncoder",
        arguments=files,
        inputs=(_t("IMAGE", "FP32", 3, SIDE, SIDE),),
        outputs=(seen,),
        max_batch_size=1,
        parameters={"probe": "none"},  # one run takes seconds, and would keep a click waiting
    )
    decoder = ModelSpec(
        name=DECODER,
        kind="engine",
        source=f"{source}:SegmentDecoder",
        arguments=files,
        inputs=(seen, _t("POINTS", "FP32", 2, 2), _t("LABELS", "FP32", 2), _t("SIZE", "FP32", 2)),
        outputs=(_t("MASKS", "FP32", -1, -1, -1), _t("SCORES", "FP32", -1)),
        max_batch_size=1,
    )
    return encoder, decoder


def with_segmenter(known: Pipeline, store: Store) -> Pipeline:
    """`known`, with the segmenter's models where the repository holds both, and with `visual_ops` calling them."""
    if PAIR[0] in known.names or any(store.latest(name) is None for name in PAIR):
        return known
    found = Pipeline(models=(*known.models, *_specs(_size(store), {})))
    if CALLER not in known.names:
        return found
    caller = known[CALLER]
    return found.replacing(caller.model_copy(update={"calls": (*caller.calls, *(Call(model=name) for name in PAIR))}))


def _size(store: Store) -> Size:
    """Of the published embedding."""
    try:
        manifest = store.manifest(DECODER)
    except BuildError:
        return USUAL  # `pixelis lint` says what is wrong with it
    for tensor in manifest.inputs:
        if tensor.name == "EMBEDDING" and len(tensor.dims) == 4:
            return tensor.dims[1], tensor.dims[2], tensor.dims[3]
    return USUAL
