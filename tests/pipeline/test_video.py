"""Videos in the agent loop: what the policy is shown, and what reaches the operations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pixelis.settings import Limits
from python_backends.images import DecodedImages
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.prepare import Prepared, Preparer
from python_backends.policy import conversation
from tests.pipeline.conftest import png
from tests.pipeline.scripted import ScriptedModels, call
from tests.pipeline.test_reason import run


def a_video(voice: Voice, shown: int, count: int = 5, **options: Any) -> tuple[Voice, Prepared]:
    """A voice that is shown `shown` frames, and a video of `count`."""
    of_video = replace(voice, profile=voice.profile.model_copy(update={"video_frames": shown}))
    preparer = Preparer(of_video.profile, Limits(), DecodedImages())
    frames = [png(336, 168, seed=i) for i in range(count)]
    return of_video, preparer(frames, b"Where?", json.dumps({"media": "video", **options}).encode())


def test_of_a_video_the_policy_sees_few_frames_and_operations_see_all(voice: Voice) -> None:
    of_video, prepared = a_video(voice, 1, fps=12.5)
    turns = [call("TRACK_OBJECT", init_bbox=[10, 20, 60, 90]), call("READ_TEXT"), "left"]
    models = ScriptedModels(of_video, turns)
    _, outcome = run(models, prepared)
    assert models.visual[0] == 36
    track, read = outcome.actions[:2]
    assert track.error is None
    assert track.arguments == {"init_bbox": [20, 20, 120, 90]}
    assert (len(track.result["boxes"]), track.result["fps"]) == (5, 12.5)
    assert read.error is None


def test_images_of_a_video_are_named_by_what_is_shown(voice: Voice) -> None:
    of_video, prepared = a_video(voice, 3)
    example = {"bbox": [84, 0, 168, 84]}
    turns = [
        call("select_frames", target_frames=[2]),
        call("TRACK_OBJECT", init_bbox=[10, 20, 60, 90], target_image=2),
        call("TEMPORAL_LOCALIZE", query=example, target_image=3),
        "?",
    ]
    _, outcome = run(ScriptedModels(of_video, turns), prepared)
    zoomed, track, localized = outcome.actions[:3]
    assert zoomed.arguments["image_index"] == 2
    assert track.arguments["image_index"] == 2
    assert track.result["boxes"][:2] == [None, None]
    assert track.result["boxes"][2] is not None
    assert localized.arguments == {"query": {"bbox": [168, 0, 336, 84]}, "image_index": 4}
    assert localized.result["scores"][4] == 1


def test_an_operation_over_time_may_say_its_own_frames_a_second(voice: Voice) -> None:
    of_video, prepared = a_video(voice, 1, fps=5)
    turns = [call("TRACK_OBJECT", init_bbox=[10, 20, 60, 90], fps=2), "?"]
    _, outcome = run(ScriptedModels(of_video, turns), prepared)
    assert outcome.actions[0].result["fps"] == 2


def test_images_of_different_sizes_are_told_to_whoever_tracks(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [call("TRACK_OBJECT", init_bbox=[10, 20, 60, 90]), "?"])
    _, outcome = run(models, prepare([png(100, 100), png(120, 100)]))
    assert outcome.actions[0].error is not None
    assert "Frame 1 is 120x100, frame 0 is 100x100." in outcome.actions[0].error


def test_a_mask_is_not_told_unless_the_profile_asks_for_it(voice: Voice) -> None:
    profile = voice.profile.model_copy(update={"observation_fields": None})
    result = {"mask": {"size": [9, 9], "counts": "abc"}, "area": 5}
    assert conversation.observation(profile, "SEGMENT_OBJECT_AT", result) == '{"area": 5}'
    asks = profile.model_copy(update={"observation_fields": {"SEGMENT_OBJECT_AT": {"m": "mask.counts"}}})
    assert conversation.observation(asks, "SEGMENT_OBJECT_AT", result) == '{"m": "abc"}'
