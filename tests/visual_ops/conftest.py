"""The real OCR models, exported once a session, run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.formats.onnx import OnnxFormat
from builder.sources.ocr_detect import OcrDetect
from builder.sources.ocr_recognize import OcrRecognize
from python_backends.visual_ops.ocr import EngineOcr


@pytest.fixture(scope="session")
def ocr(tmp_path_factory: pytest.TempPathFactory) -> EngineOcr:
    folders: list[Path] = []
    for source in (OcrDetect(), OcrRecognize()):
        folder = tmp_path_factory.mktemp(source.name)
        OnnxFormat().export(source, folder)
        OnnxFormat().optimise(folder)
        folders.append(folder)
    return EngineOcr(*folders, threads=1)
