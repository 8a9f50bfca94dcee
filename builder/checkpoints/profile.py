"""Whether pixelis.json, where there is one, fits the checkpoint beside it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from builder.checkpoints.architecture import Architecture
from pixelis.errors import BuildError, SetupError
from python_backends.policy.profile import Profile


def check_profile(directory: Path, architecture: Architecture) -> None:
    """The profile is readable, and its views are made of whole visual tokens.

    Raises:
        BuildError: it is not, or they are not.
    """
    try:
        profile = Profile.load(directory)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        message = f"pixelis.json is not understood: {where}: {first['msg']}."
        raise BuildError(message, mend="docs/policy.md names its fields; every one may be left out.") from None
    except (SetupError, ValueError, OSError) as error:
        raise BuildError(f"pixelis.json is not readable: {error}", mend="Mend it, or leave it out.") from None
    unit = architecture.vision.unit
    for width, height in profile.sizes:
        if min(width, height) < unit or width % unit or height % unit:
            raise BuildError(
                f"A view of {width}x{height} is not made of whole visual tokens.",
                mend=f"Make both sides of `view` in pixelis.json multiples of {unit}, or leave it out.",
            )
