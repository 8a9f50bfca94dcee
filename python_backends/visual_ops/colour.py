"""Names of colours: the nearest of a table, by the perceptual distance CIEDE2000.

Distance: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula", Color Research & Application 30(1), 2005;
its published test pairs are tests here.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Lab = NDArray[np.float64]
Rgb = tuple[int, int, int]

TABLE: dict[str, tuple[Rgb, ...]] = {
    "red": ((214, 40, 40), (255, 0, 0), (160, 20, 25), (190, 60, 55)),
    "orange": ((245, 140, 30), (255, 120, 0), (255, 165, 0), (225, 110, 40)),
    "yellow": ((250, 220, 50), (255, 255, 0), (240, 230, 140), (210, 190, 40)),
    "green": ((40, 160, 70), (0, 128, 0), (0, 255, 0), (20, 70, 35), (140, 200, 90), (95, 115, 55), (150, 215, 160)),
    "cyan": ((60, 200, 220), (0, 255, 255), (0, 135, 140), (160, 230, 235)),
    "blue": ((45, 85, 210), (0, 0, 255), (20, 30, 95), (100, 150, 230), (160, 195, 240), (60, 100, 150), (0, 0, 128)),
    "purple": ((130, 60, 180), (128, 0, 128), (75, 0, 130), (180, 125, 220), (70, 30, 90)),
    "pink": ((245, 130, 190), (255, 192, 203), (255, 20, 147), (225, 90, 150), (250, 160, 165)),
    "brown": ((130, 80, 40), (90, 55, 30), (165, 110, 70), (60, 35, 20), (110, 60, 50), (205, 175, 135)),
    "black": ((25, 25, 25), (0, 0, 0), (42, 42, 42)),
    "white": ((245, 245, 245), (255, 255, 255), (228, 228, 228)),
    "grey": ((128, 128, 128), (90, 90, 90), (165, 165, 165), (200, 200, 200), (65, 65, 65)),
}
"""Examples of what each name covers, sRGB."""

NAMES = tuple(TABLE)


BLACK_BELOW = 45
WHITE_ABOVE = 228


def name_of(rgb: Rgb) -> str:
    """The name whose example is nearest; very dark and very light colours have no hue that a person would name."""
    if max(rgb) <= BLACK_BELOW:
        return "black"
    if min(rgb) >= WHITE_ABOVE:
        return "white"
    names, examples = _examples()
    return names[int(np.argmin(ciede2000(to_lab(np.array([rgb], np.float64)), examples)))]


def hsv_of(rgb: Rgb) -> tuple[float, float, float]:
    """Hue in degrees 0-360, saturation and value in 0-1."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255.0 for channel in rgb))
    return round(hue * 360.0, 1), round(saturation, 4), round(value, 4)


@lru_cache(maxsize=1)
def _examples() -> tuple[tuple[str, ...], Lab]:
    names = tuple(name for name, examples in TABLE.items() for _ in examples)
    return names, to_lab(np.array([example for examples in TABLE.values() for example in examples], np.float64))


def to_lab(rgb: NDArray[np.float64]) -> Lab:
    """sRGB 0-255 `[..., 3]` -> CIELAB under D65."""
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [(0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041)]
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.asarray(
        np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    )


def ciede2000(one: Lab, other: Lab) -> NDArray[np.float64]:
    """Distance of colours `[..., 3]`, broadcast."""
    l1, a1, b1 = np.moveaxis(one, -1, 0)
    l2, a2, b2 = np.moveaxis(other, -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, (1 + g) * a1)) % 360, np.degrees(np.arctan2(b2, (1 + g) * a2)) % 360
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, (h2 - h1 + 180) % 360 - 180)
    # At exactly opposite hues the formula's published data turn forwards.
    turn = np.where(turn == -180, 180.0, turn)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    return _weighted(l1, l2, c1, c2, dh, np.where(grey, h1 + h2, _mean_hue(h1, h2)))


def _mean_hue(h1: NDArray[np.float64], h2: NDArray[np.float64]) -> NDArray[np.float64]:
    total = h1 + h2
    far = np.abs(h1 - h2) > 180
    return np.asarray(np.where(far, np.where(total < 360, total + 360, total - 360), total) / 2)


def _weighted(
    l1: NDArray[np.float64],
    l2: NDArray[np.float64],
    c1: NDArray[np.float64],
    c2: NDArray[np.float64],
    dh: NDArray[np.float64],
    hue: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Differences over their weights, with the rotation term for blues."""
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.20 * np.cos(np.radians(4 * hue - 63))
    sl = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    swirl = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    rt = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(swirl)
    dl, dc, dh = (l2 - l1) / sl, (c2 - c1) / sc, dh / sh
    return np.asarray(np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rt * dc * dh, 0)))
