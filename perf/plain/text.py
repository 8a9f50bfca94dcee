"""MiniLM in PyTorch: sentences to embeddings, padded to the longest of a call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from builder.sources.embed_text import EmbedText
from python_backends.pipeline.models import Floats
from python_backends.pipeline.words import BUCKETS


class PlainText:
    """The checkpoint of `builder.sources.embed_text`, as Hugging Face loads it, with sdpa attention."""

    def __init__(self) -> None:
        source = EmbedText()
        self._bert = source.bert
        self._bert.set_attn_implementation("sdpa")
        self._tokenizer = Tokenizer.from_file(str(source.files()[1]))
        self._tokenizer.enable_truncation(BUCKETS[-1])
        self._tokenizer.enable_padding()

    def embed(self, texts: Sequence[str], deadline: float) -> Floats:
        """Texts -> `[n, 384]`: masked mean of the last hidden states, of length 1.

        Args:
            texts: any number of them; those of a call share one forward pass.
            deadline: not looked at; this does not wait for anything.
        """
        lines = self._tokenizer.encode_batch(list(texts))
        ids, mask = torch.tensor([line.ids for line in lines]), torch.tensor([line.attention_mask for line in lines])
        with torch.inference_mode():
            hidden = self._bert(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            rows: Floats = torch.nn.functional.normalize(mean, dim=1).numpy()
        return rows
