"""The models of named checkpoints as the spec has models: those of the default one under other names.

What shapes their tensors is read from what was published: the policy's folder holds the checkpoint's config and
profile. So a later command needs to know nothing of the directory that it was built from.
"""

from __future__ import annotations

from builder.checkpoint_view import NANO, View, read_view
from builder.engines import engines
from builder.forms import with_forms
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.segmenting.specs import with_segmenter
from builder.store import Store
from builder.vllm.specs import with_vllm
from pixelis.errors import PixelisError
from python_backends.checkpoints import DEFAULT, ENCODER, PAIR, POLICY, is_name, models_of

LOAD, ON_DEMAND = "load", "on demand"
"""Parameter of config.pbtxt: a server does not load the model when it starts, but when it is asked for."""


def in_repository(known: Pipeline, store: Store) -> Pipeline:
    """`known`, and what this repository has besides: a segmenter, vLLM for the policy, named checkpoints."""
    return with_named(with_vllm(with_segmenter(known, store), store), store)


def with_named(known: Pipeline, store: Store) -> Pipeline:
    """`known`, with the models of every named checkpoint that the repository holds and `known` does not."""
    if any(model not in known.names for model in PAIR):
        return known
    models = [
        model
        for name in named(store)
        if models_of(name)[0] not in known.names
        for model in specs_of(known, name, _view(store, name))
    ]
    return Pipeline(models=(*known.models, *models)) if models else known


def named(store: Store) -> list[str]:
    """Checkpoints of which both models have a built version."""
    found = [path.name.partition(".")[2] for path in store.repository.glob(f"{POLICY}.*")]
    whole = [name for name in found if all(store.latest(model) is not None for model in models_of(name))]
    return sorted(name for name in whole if is_name(name))


def specs_of(known: Pipeline, name: str, view: View) -> tuple[ModelSpec, ModelSpec]:
    """Policy and vision encoder of a checkpoint called `name`, whose views are `view`."""
    batch = known[ENCODER].max_batch_size
    (encoder,) = (model for model in engines(batch, view) if model.name == ENCODER)
    policy, encoder = (
        model.model_copy(update={"name": full, "parameters": {**model.parameters, LOAD: ON_DEMAND}})
        for model, full in zip((known[POLICY], with_forms(encoder)), models_of(name), strict=True)
    )
    return policy, encoder


def _view(store: Store, name: str) -> View:
    """Of the published policy."""
    policy, _ = models_of(name)
    try:
        return read_view(store.folder(policy, store.latest(policy) or 0))
    except PixelisError:
        return NANO  # `pixelis lint` says what is wrong with it


def refused(name: str) -> str | None:
    """Why a checkpoint cannot be called so."""
    if is_name(name):
        return None
    if name == DEFAULT:
        return f"{DEFAULT} is what the checkpoint without a name is called"
    return (
        "a name has lower-case letters, digits, `-` and `_`, begins with one of the first two, and is no longer than 63"
    )
