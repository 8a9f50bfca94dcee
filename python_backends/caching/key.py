"""The name of a value: what it is, of which versions, and a digest of everything it depends on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from python_backends.caching.canonical import feed

DIGEST_BYTES = 20
"""160 bits: among 10^12 values two share a name with a probability of 10^-24."""

_TAG = re.compile(r"[a-z0-9_.-]*")
_VERSION = re.compile(r"(.+?)-(\d+)(?:\.|$)")


@dataclass(frozen=True)
class Key:
    """A value's name.

    Attributes:
        prefix: the cached thing.
        versions: of the models that it was made by, `policy-3.vision_encoder-2`; empty = of none.
        digest: 20 bytes over prefix, versions and all that the value depends on.
    """

    prefix: str
    versions: str
    digest: bytes

    @classmethod
    def of(cls, prefix: str, versions: Mapping[str, str], **parts: Any) -> Key:
        """The key of `parts`, each by its name.

        Raises:
            TypeError: a part has no canonical encoding.
            ValueError: a version that is no plain word.
        """
        tag = tagged(versions)
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{tag!r} does not name versions")
        hashed = blake2b(digest_size=DIGEST_BYTES)
        feed(hashed.update, [prefix, tag, parts])
        return cls(prefix, tag, hashed.digest())

    @cached_property
    def name(self) -> str:
        """All of it as one word."""
        return f"{self.prefix}:{self.versions}:{self.digest.hex()}"


def tagged(versions: Mapping[str, str]) -> str:
    """`policy-3.vision_encoder-2`."""
    return ".".join(f"{model}-{version}" for model, version in sorted(versions.items()))


def split(tag: str) -> list[tuple[str, str]]:
    """Model and version of each; a named checkpoint's model has a dot in its name, `policy.large-3`."""
    return _VERSION.findall(tag)


def meant(name: str, prefix: str | None, version: str | None) -> bool:
    """Whether a name has this prefix and this version of a model (`policy-3`); none = any."""
    of, tag, _ = name.split(":")
    return (prefix is None or of == prefix) and (version is None or version in map("-".join, split(tag)))
