"""The models that run an artifact and nothing else."""

from __future__ import annotations

from builder.checkpoint_view import View
from builder.model_spec import ModelSpec, TensorSpec
from builder.model_spec import tensor as _t
from builder.model_tolerances import tolerances_of

KEY = 1664
"""Width of a retrieval key: 1280 visual + 384 text."""
SENTENCES = (32, 64, 128, 256)
"""Tokens to which callers pad a sentence."""
STILL_OR_PAIR = (3, 6)
"""Channels of a view: of a picture, or of two frames one behind the other."""


def engines(batch: int, view: View) -> tuple[ModelSpec, ...]:
    """All of them, batched up to `batch`; the vision encoder is shaped by the checkpoint's `view`."""
    return (*_embeddings(batch), _vision(batch, view), _dynamics(batch), *_ocr(batch))


def _engine(
    name: str, source: str, batch: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> ModelSpec:
    path = f"builder.sources.{source}"
    return ModelSpec(
        name=name,
        kind="engine",
        source=path,
        inputs=inputs,
        outputs=outputs,
        max_batch_size=batch,
        precise_tolerances=tolerances_of(name),
    )


def _embeddings(batch: int) -> tuple[ModelSpec, ...]:
    image, ids, mask = (
        _t("IMAGE", "UINT8", 224, 224, 3),
        _t("INPUT_IDS", "INT64", -1),
        _t("ATTENTION_MASK", "INT64", -1),
    )
    seen = (_t("EMBEDDING", "FP32", 1280), _t("FEATURES", "FP32", 14, 14, 384))
    of_image = _engine("embed_image", "embed_image:EmbedImage", batch, (image,), seen)
    of_text = _engine("embed_text", "embed_text:EmbedText", batch, (ids, mask), (_t("EMBEDDING", "FP32", 384),))
    return of_image, _padded(of_text, INPUT_IDS=SENTENCES, ATTENTION_MASK=SENTENCES)


def _vision(batch: int, view: View) -> ModelSpec:
    height, width, count = (-1, -1, -1) if view.sides else (view.height, view.width, view.tokens)
    channels = -1 if view.pairs else 3
    pixels, tokens = _t("VIEW", "UINT8", height, width, channels), _t("TOKENS", "FP32", count, view.hidden)
    made = _engine("vision_encoder", "vision_encoder:VisionEncoder", batch, (pixels,), (tokens,))
    if view.pairs:
        apart = {"VIEW": STILL_OR_PAIR} if view.sides else {}
        said = {"channels": ",".join(map(str, STILL_OR_PAIR))}
        made = made.model_copy(update={"channels": apart, "parameters": said})
    varying = view.sides or (STILL_OR_PAIR if view.pairs else ())
    return _padded(made, VIEW=varying) if varying else made


def _dynamics(batch: int) -> ModelSpec:
    inputs = (_t("STATE", "FP32", KEY), _t("ACTION", "FP32", 16))
    return _engine("dynamics", "dynamics:Dynamics", batch, inputs, (_t("NEXT_STATE", "FP32", KEY),))


def _ocr(batch: int) -> tuple[ModelSpec, ...]:
    """Pages differ in size: callers batch equal sizes (detection) or widths (recognition)."""
    page, page_map = _t("IMAGE", "UINT8", -1, -1, 3), _t("MAP", "FP32", -1, -1)
    line = (_t("LINE", "UINT8", 48, -1, 3), _t("WIDTH", "INT32", 1))
    letters = (_t("INDEX", "INT32", -1), _t("PROBABILITY", "FP32", -1))
    detect = _engine("ocr_detect", "ocr_detect:OcrDetect", batch, (page,), (page_map,))
    detect = detect.model_copy(update={"parameters": {"sides_multiple_of": "32"}})
    recognize = _engine("ocr_recognize", "ocr_recognize:OcrRecognize", batch, line, letters)
    return (
        _padded(detect, IMAGE=(64, 128, 256, 512, 736, 960)),
        _padded(recognize, LINE=(160, 320, 640, 1280)),
    )


def _padded(spec: ModelSpec, **buckets: tuple[int, ...]) -> ModelSpec:
    return spec.model_copy(update={"buckets": buckets})
