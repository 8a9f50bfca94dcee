"""The real OCR models and image encoder, exported once a session, run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.candidate import Candidate
from builder.formats.onnx import OnnxFormat
from builder.sources.base import Source
from builder.sources.embed_image import EmbedImage
from builder.sources.ocr_detect import OcrDetect
from builder.sources.ocr_recognize import OcrRecognize
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr


def exported(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(source.name)
    OnnxFormat().export(source, folder, Candidate(format="onnx"))
    OnnxFormat().optimise(folder, Candidate(format="onnx"))
    return folder


@pytest.fixture(scope="session")
def ocr(tmp_path_factory: pytest.TempPathFactory) -> EngineOcr:
    return EngineOcr(*(exported(source, tmp_path_factory) for source in (OcrDetect(), OcrRecognize())), threads=1)


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> EngineFeatures:
    return EngineFeatures(exported(EmbedImage(), tmp_path_factory), threads=1)
