"""Views of a profile: one, several, and those of a checkpoint that brings no profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.nano import model as nano
from pixelis.errors import SetupError
from python_backends.policy.calls.forms import Bounds
from python_backends.policy.profile import Profile


def _load(directory: Path, said: object) -> Profile:
    (directory / "pixelis.json").write_text(json.dumps(said))
    return Profile.load(directory)


def test_one_view_is_every_pictures(tmp_path: Path) -> None:
    profile = _load(tmp_path, nano.PROFILE)
    assert profile.sizes == (profile.view,) == ((168, 168),)
    assert profile.fitting([(4000, 100)]) == (168, 168)
    assert profile.resampling == "area"


def test_a_list_of_views(tmp_path: Path) -> None:
    profile = _load(tmp_path, {"view": [[224, 224], [448, 224], [224, 448]]})
    assert profile.view == (224, 224)
    assert profile.sizes == ((224, 224), (448, 224), (224, 448))
    assert profile.fitting([(640, 360)]) == (448, 224)
    assert profile.fitting([(360, 640), (300, 640)]) == (224, 448)
    bounds = Bounds.of(profile, 1)
    assert (bounds.width, bounds.height) == (448, 448)
    assert Profile.model_validate(profile.model_dump()) == profile


def test_frames_are_images_unless_the_profile_says_pairs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_vl"}))
    assert _load(tmp_path, {"view": [448, 448]}).video == "frames"
    said = _load(tmp_path, {"view": [448, 448], "video": "pairs", "video_frames": 6})
    assert (said.video, said.times, said.video_frames) == ("pairs", "text", 6)
    assert _load(tmp_path, {"view": [448, 448], "video": "pairs", "times": "positions"}).times == "positions"
    with pytest.raises(SetupError, match="`video_frames` is 5; of a video in pairs it must be even"):
        _load(tmp_path, {"view": [448, 448], "video": "pairs", "video_frames": 5})


@pytest.mark.parametrize(
    ("family", "patch", "square", "space"),
    [("qwen2_5_vl", 14, 448, "view_pixels"), ("qwen3_vl", 16, 512, "relative_1000")],
)
def test_a_checkpoint_without_a_profile(family: str, patch: int, square: int, space: str, tmp_path: Path) -> None:
    vision = {"patch_size": patch, "spatial_merge_size": 2}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family, "vision_config": vision}))
    profile = Profile.load(tmp_path)
    assert (profile.view, profile.coordinates, profile.resampling) == ((square, square), space, "bicubic")
    assert all(side % (2 * patch) == 0 for size in profile.sizes for side in size)
    assert (profile.video, profile.times) == ("pairs", "text" if family == "qwen3_vl" else "positions")
    assert profile.fitting([(1920, 1080)])[0] > profile.fitting([(800, 600)])[0] > square
    (tmp_path / "config.json").write_text("{}")
    assert Profile.load(tmp_path) == Profile()
