"""What labels say. A word belongs to training or to the held-out set by its own hash, so the two never meet."""

from __future__ import annotations

import hashlib
import random
import string
from typing import Literal

Split = Literal["train", "held_out"]

_ONSETS = "b br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t th tr v w y z".split()
_VOWELS = "a e i o u ai ea oo".split()
# O and I look like 0 and 1 in most faces: a code that people must read leaves them out, and so do we.
_CODE_LETTERS = "".join(c for c in string.ascii_uppercase if c not in "OI")
_CODAS = ("", "", "n", "r", "l", "t", "s", "m", "ck", "nd", "rt", "x")


def split_of(word: str) -> Split:
    """The set that `word` belongs to (case does not matter): one word in five is held out."""
    return "held_out" if hashlib.sha256(word.casefold().encode()).digest()[0] % 5 == 0 else "train"


def _syllables(rng: random.Random) -> str:
    n = rng.choice((1, 2, 2, 2, 3))
    word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(n)) + rng.choice(_CODAS)
    return word[:8]


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice(_CODE_LETTERS) for _ in range(rng.choice((1, 2, 3))))
    digits = "".join(rng.choice(string.digits) for _ in range(rng.choice((2, 3, 4))))
    return letters + digits


def _random(rng: random.Random) -> str:
    word = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 7)))
    return word.upper() if rng.random() < 0.5 else word.capitalize()


def label_text(rng: random.Random, split: Split) -> str:
    """A word or code of 3 to 8 characters of the given set."""
    while True:
        kind = rng.random()
        if kind < 0.6:
            word = _syllables(rng)
            text = word.upper() if rng.random() < 0.7 else word.capitalize()
        elif kind < 0.85:
            text = _code(rng)
        else:
            text = _random(rng)
        if len(text) >= 3 and split_of(text) == split:
            return text
