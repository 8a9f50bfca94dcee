"""Colours and shapes of generated scenes, by name."""

from __future__ import annotations

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (214, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 50),
    "green": (40, 160, 70),
    "cyan": (60, 200, 220),
    "blue": (45, 85, 210),
    "purple": (130, 60, 180),
    "pink": (245, 130, 190),
    "brown": (130, 80, 40),
    "black": (25, 25, 25),
    "white": (245, 245, 245),
}

SHAPES = ("circle", "square", "triangle", "star", "diamond", "hexagon", "plus", "heart")
