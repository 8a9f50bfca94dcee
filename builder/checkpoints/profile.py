"""Whether pixelis.json, where there is one, fits the checkpoint beside it."""

from __future__ import annotations

from pathlib import Path

from pixelis.errors import BuildError, SetupError
from python_backends.policy.geometry import Geometry, Size
from python_backends.policy.profile import Profile


def check_profile(directory: Path) -> None:
    """The profile is readable, and its views are pictures as the checkpoint's processor makes them.

    Raises:
        BuildError: it is not, or they are not.
    """
    try:
        profile = Profile.load(directory)
        geometry = Geometry.load(directory)
    except SetupError as error:
        raise BuildError(error.message, mend=error.mend) from None
    for size in profile.sizes:
        check_view(size, geometry)


def check_view(size: Size, geometry: Geometry) -> None:
    """Whether the checkpoint's own processor would leave a picture of `size` as it is.

    Raises:
        BuildError: it would not.
    """
    (width, height), unit = size, geometry.factor
    if min(width, height) < unit or width % unit or height % unit:
        raise BuildError(
            f"A view of {width}x{height} is not made of whole visual tokens.",
            mend=f"Make both sides of `view` in pixelis.json multiples of {unit}, or leave it out.",
        )
    if not geometry.least <= width * height <= geometry.most:
        raise BuildError(
            f"A view of {width}x{height} is {width * height} pixels, and the checkpoint's processor makes pictures of "
            f"{geometry.least} to {geometry.most}.",
            mend="Change `view` in pixelis.json, or the bounds in preprocessor_config.json.",
        )
