"""What vLLM is started with: `model.json` of `policy_vllm`, and the same beside the policy's own files.

Names are those of vLLM's `AsyncEngineArgs`, to which Triton's vLLM backend hands the file as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixelis.errors import SetupError

FILE = "engine.json"
"""In a version folder of `policy`."""
MODEL = "policy_vllm"
"""The model that vLLM's backend serves."""


class EngineArgs(BaseModel):
    """`model.json`.

    The backend of structured outputs stays `auto`, which takes xgrammar for what the policy asks (`structure`): as a
    setting of its own it is an object that the engine does not make of JSON.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1, description="the checkpoint, as the server sees it")
    served_model_name: str
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    tensor_parallel_size: int = Field(1, ge=1)
    pipeline_parallel_size: int = Field(1, ge=1)
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    max_model_len: int = Field(ge=2)
    enable_prefix_caching: bool = Field(True, description="the next turn of an agent reads only what is new")
    limit_mm_per_prompt: dict[str, int]
    mm_encoder_tp_mode: Literal["weights", "data"] = Field(
        "weights", description="data: every GPU has the whole tower, and takes its share of the pictures"
    )
    mm_processor_kwargs: dict[str, int] | None = Field(None, description="so that views are not scaled again")

    def text(self) -> str:
        """As a file."""
        return json.dumps(self.model_dump(exclude_none=True), indent=2) + "\n"


class EngineFile(BaseModel):
    """`engine.json`: what the policy must know of the engine.

    Attributes:
        patch: pixels of a patch's side.
        checkpoint: the directory that it was built from.
    """

    model_config = ConfigDict(extra="forbid")

    arguments: EngineArgs
    patch: int = Field(ge=1)
    checkpoint: str = ""

    @property
    def max_model_len(self) -> int:
        """Tokens of prompt and continuation."""
        return self.arguments.max_model_len

    @property
    def images(self) -> int:
        """Pictures of one conversation."""
        return self.arguments.limit_mm_per_prompt["image"]

    @classmethod
    def load(cls, directory: Path) -> EngineFile:
        """Beside the policy in `directory`.

        Raises:
            SetupError: it is not there, or is none.
        """
        try:
            return cls.model_validate_json((directory / FILE).read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise SetupError(
                f"The policy artifact {directory.name} is not one for vLLM: {type(error).__name__} in {FILE}.",
                mend="Build it with `pixelis build --policy-runtime vllm`.",
            ) from error
