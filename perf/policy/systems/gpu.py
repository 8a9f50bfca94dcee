"""Whether a system that should decode on a GPU can."""

from __future__ import annotations

import torch

from pixelis.errors import SetupError


def require_gpu() -> None:
    """See that PyTorch reaches a GPU, so that no figure of the CPU goes by its name.

    Raises:
        SetupError: it does not.
    """
    if not torch.cuda.is_available():
        raise SetupError(
            f"PyTorch {torch.__version__} reaches no CUDA GPU here.",
            mend="Install PyTorch with CUDA on a machine that has one, or say --device cpu.",
        )
