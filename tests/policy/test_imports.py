"""A serving process imports what it serves with and no more."""

from __future__ import annotations

import subprocess
import sys


def test_the_runtime_imports_no_training_or_export_packages() -> None:
    code = (
        "import sys, python_backends.policy.runtime, python_backends.policy.tokenizer, python_backends.engine;"
        "print(sorted({'torch', 'transformers', 'onnx', 'onnxscript', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
