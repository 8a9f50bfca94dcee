"""Text for `embed_text`: tokens padded to a bucket, so that a batch has one shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.tokenizer import opened

BUCKETS = (16, 32, 64, 128, 256)
"""Sequence lengths that callers pad to; a longer text is cut at the last."""


class TextTokens:
    """The tokenizer beside `embed_text`'s graph.

    Args:
        directory: a version folder with `tokenizer.json`.
    """

    def __init__(self, directory: Path) -> None:
        self._tokenizer = opened(directory / "tokenizer.json")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(BUCKETS[-1])

    def batches(self, texts: Sequence[str], most: int) -> Iterator[tuple[list[int], dict[str, NDArray[np.int64]]]]:
        """Batches of at most `most` texts of one bucket.

        A text's bucket is its own and not its company's, so that its embedding does not depend on the company.

        Yields:
            positions in `texts`, and `INPUT_IDS` and `ATTENTION_MASK` `[n, bucket]`.
        """
        encoded = self._tokenizer.encode_batch(list(texts))
        buckets = [next(bucket for bucket in BUCKETS if len(line.ids) <= bucket) for line in encoded]
        for bucket in sorted(set(buckets)):
            members = [i for i, found in enumerate(buckets) if found == bucket]
            for start in range(0, len(members), most):
                chosen = members[start : start + most]
                ids = np.zeros((len(chosen), bucket), np.int64)
                mask = np.zeros((len(chosen), bucket), np.int64)
                for row, i in enumerate(chosen):
                    length = len(encoded[i].ids)
                    ids[row, :length] = encoded[i].ids
                    mask[row, :length] = 1
                yield chosen, {"INPUT_IDS": ids, "ATTENTION_MASK": mask}
