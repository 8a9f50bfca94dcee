"""GET_PROPERTIES: measured facts, and the object found in boxes that are off."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from builder.nano.palette import COLOURS
from builder.nano.questions import ask
from builder.nano.render import render
from builder.nano.scenes import VIEW
from perf.ops.segment_quality import colour_row
from pixelis.errors import InvalidOperation
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Rle
from python_backends.visual_ops.colour import ciede2000, hsv_of, name_of
from python_backends.visual_ops.get_properties import get_properties
from python_backends.visual_ops.shape import perimeter, shape_of

RED = (214, 40, 40)


def block() -> np.ndarray:
    image = np.full((100, 100, 3), 200, np.uint8)
    image[20:40, 30:50] = RED
    return image


def mask_of(rows: slice, columns: slice, shape: tuple[int, int] = (100, 100)) -> dict[str, Any]:
    mask = np.zeros(shape, np.bool_)
    mask[rows, columns] = True
    return rle.encode(mask)


def disc(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius - 2 : radius + 3, -radius - 2 : radius + 3]
    return np.asarray(x**2 + y**2 <= radius**2)


def test_facts_of_a_mask() -> None:
    found = get_properties(block(), {"mask": mask_of(slice(20, 40), slice(30, 50))})
    assert found["foreground"] == "mask"
    assert found["position"]["centroid"] == [39.5, 29.5]
    assert found["position"]["bbox"] == [30, 20, 50, 40]
    assert found["position"]["where"] == "top centre"
    assert found["size"] == {"width": 20, "height": 20, "area": 400, "image_share": 0.04}
    assert found["color"] == {"name": "red", "rgb": list(RED), "hsv": [0.0, 0.8131, 0.8392]}
    assert found["shape"]["convexity"] == 1.0
    assert found["texture"]["name"] == "smooth"


def test_a_mask_fifty_wide_has_width_fifty() -> None:
    found = get_properties(block(), {"mask": mask_of(slice(10, 20), slice(0, 50))})
    assert found["size"]["width"] == 50
    assert found["shape"]["aspect_ratio"] == 5.0


def test_a_box_finds_the_same_object() -> None:
    for box in ([30, 20, 50, 40], [25, 15, 55, 45], [33, 23, 52, 44]):
        found = get_properties(block(), {"bbox": box})
        assert found["foreground"] == "contrast"
        assert found["color"]["name"] == "red"
        assert found["position"]["bbox"] == [30, 20, 50, 40]


def test_a_box_without_an_object_says_that_nothing_stood_out() -> None:
    found = get_properties(np.full((60, 60, 3), 90, np.uint8), {"bbox": [10, 10, 50, 50]})
    assert (found["foreground"], found["color"]["name"]) == ("ellipse", "grey")


@pytest.mark.parametrize("box", [[0, 0, 1, 1], [99, 99, 100, 100], [0, 0, 100, 1], [0, 0, 100, 100]])
def test_extreme_boxes_are_measured(box: list[int]) -> None:
    assert get_properties(block(), {"bbox": box})["color"]["name"] in {"grey", "red"}


@pytest.mark.parametrize(("radius", "tolerance"), [(10, 0.06), (40, 0.03), (120, 0.02)])
def test_a_disc_is_circular(radius: int, tolerance: float) -> None:
    found = shape_of(disc(radius))
    assert found["circularity"] == pytest.approx(1.0, abs=tolerance)
    assert found["perimeter"] == pytest.approx(2 * np.pi * radius, rel=0.04)
    assert found["convexity"] > 0.9


def test_a_squares_outline() -> None:
    assert perimeter(np.ones((50, 50), np.bool_)) == pytest.approx(200, rel=0.03)


def test_texture_tells_smooth_from_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    box = mask_of(slice(10, 90), slice(10, 90))
    rough, even = (get_properties(image, {"mask": box})["texture"] for image in (noise, np.full_like(noise, 90)))
    assert (rough["name"], even["name"]) == ("coarse", "smooth")
    assert rough["contrast"] > 5 > even["contrast"] == 0.0
    assert rough["lbp_entropy"] > 2 > even["lbp_entropy"]
    assert abs(rough["correlation"]) < 0.1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "either `mask` or `bbox`"),
        ({"bbox": [0, 0, 5, 5], "mask": mask_of(slice(0, 5), slice(0, 5))}, "either `mask` or `bbox`"),
        ({"bbox": [200, 0, 300, 50]}, "does not overlap"),
        ({"bbox": [5, 5, 5, 9]}, "Box [5, 5, 5, 9] is empty"),
        ({"mask": mask_of(slice(0, 5), slice(0, 5), (50, 50))}, "The mask is of a 50x50 image; this one is 100x100."),
        ({"mask": {"size": [100, 100], "counts": [10_000]}}, "The mask is empty"),
        ({"mask": {"size": [100, 100], "counts": [9_999]}}, "do not add up"),
        ({"mask": {"size": [100, 100], "counts": "\x00"}}, "not COCO's run-length text"),
        ({"mask": {"size": [100, 100], "counts": "zzzzzzzzzzzzzzzzz"}}, "run-length text"),
        ({"mask": "everything"}, "COCO run-length mask"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOperation) as refused:
        get_properties(block(), arguments)
    assert text in str(refused.value)


def test_coco_text_is_pycocotools_own() -> None:
    """What pycocotools 2.0 encodes for a 2 x 3 block in 4 x 5, and for a block in 100 x 100."""
    mask = np.zeros((4, 5), np.bool_)
    mask[1:3, 1:4] = True
    assert rle.encode(mask) == {"size": [4, 5], "counts": "5220003"}
    text = "\\n2d0`20000000000000000000000000000000000000dk4"
    assert mask_of(slice(20, 40), slice(30, 50)) == {"size": [100, 100], "counts": text}
    np.testing.assert_array_equal(rle.decode(Rle(size=(4, 5), counts=[5, 2, 2, 2, 2, 2, 5]), (5, 4)), mask)


@settings(max_examples=100, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_masks_survive_the_code(mask: np.ndarray) -> None:
    if mask.any():
        decoded = rle.decode(Rle.model_validate(rle.encode(mask)), (mask.shape[1], mask.shape[0]))
        np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_ciede2000_gives_the_published_values(
    one: tuple[float, ...], other: tuple[float, ...], distance: float
) -> None:
    assert float(ciede2000(np.array(one, float), np.array(other, float))) == pytest.approx(distance, abs=1e-4)


def test_every_colour_of_the_scenes_has_its_own_name() -> None:
    rng = random.Random(0)
    for name, rgb in COLOURS.items():
        for _ in range(200):
            red, green, blue = (min(255, max(0, channel + rng.randint(-12, 12))) for channel in rgb)
            assert name_of((red, green, blue)) == name


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((128, 128, 128), "grey"), ((139, 0, 0), "red"), ((0, 0, 128), "blue"), ((210, 180, 140), "brown"),
        ((64, 224, 208), "cyan"), ((255, 215, 0), "yellow"), ((34, 139, 34), "green"), ((0, 0, 0), "black"),
        ((255, 255, 255), "white"), ((255, 127, 80), "orange"), ((238, 130, 238), "pink"), ((75, 0, 130), "purple"),
    ],
)  # fmt: skip
def test_names_of_well_known_colours(rgb: tuple[int, int, int], name: str) -> None:
    assert name_of(rgb) == name


def test_the_colours_of_generated_shapes() -> None:
    """Labels are the generator's own. Measured on 2 x 240: all right by mask and by box."""
    row = colour_row(48, seed=7)
    assert (row["by_mask"], row["by_bbox"], row["wrong"]) == (48, 48, [])


def test_the_box_of_a_shape_that_leaves_its_middle_free() -> None:
    y, x = np.mgrid[:120, :160]
    image = np.full((120, 160, 3), (40, 90, 200), np.uint8)
    image[np.abs(np.hypot(x - 80, y - 60) - 30) < 7] = (250, 220, 50)
    found = get_properties(image, {"bbox": [43, 23, 117, 97]})
    assert (found["foreground"], found["color"]["name"]) == ("contrast", "yellow")


def test_hue_saturation_value() -> None:
    assert hsv_of((0, 0, 255)) == (240.0, 1.0, 1.0)
    assert hsv_of((0, 0, 0)) == (0.0, 0.0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("jitter", "least"), [(0.0, 0.99), (0.042, 0.98), (0.08, 0.97)])
def test_colours_of_scenes_with_boxes_that_are_off(jitter: float, least: float) -> None:
    """`jitter` is how far each edge may be off, as a share of the image."""
    rng, right, scenes = random.Random(2), 0, 60
    for seed in range(scenes):
        question = ask("colour", "held_out", 5000 + seed)
        scene = question.scene
        exact = question.things[0].view_box(scene.size)
        off = [min(max(v + VIEW * rng.uniform(-jitter, jitter), 0), VIEW) for v in exact]
        box = off if min(off[2] - off[0], off[3] - off[1]) >= 5 else exact
        normalised = {"bbox": [float(v) / VIEW for v in box], "normalized": True}
        right += get_properties(render(scene), normalised)["color"]["name"] == question.answer
    assert right / scenes >= least
