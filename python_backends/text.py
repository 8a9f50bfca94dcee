"""How answers are compared, wherever answers are compared."""

from __future__ import annotations

import unicodedata


def normalise(answer: str) -> str:
    """`answer` after Unicode NFKC, case folding and white-space collapsing.

    Case folding can leave a string that is no longer in NFKC (`ͅ` folds to `ι`), so it is composed once more;
    the function is idempotent.
    """
    folded = unicodedata.normalize("NFKC", answer).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).casefold().split())
