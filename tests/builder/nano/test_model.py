"""The nano is a real Qwen2.5-VL: what training computes is what transformers computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from builder.nano import model as nano
from builder.nano import train
from builder.nano.episodes import make_episode, positions
from builder.nano.questions import FAMILIES, ask, pointed
from python_backends.policy import conversation
from python_backends.policy.profile import Profile

PROFILE = Profile.model_validate(nano.PROFILE)


@pytest.fixture(scope="module")
def model() -> object:
    return nano.create(0).eval()


@pytest.fixture(scope="module")
def batch() -> dict[str, torch.Tensor]:
    return next(iter(train.Episodes(train.Recipe(batch=4), 0)))[0]


def test_it_is_small(model: object) -> None:
    assert 2.5e6 < sum(p.numel() for p in model.parameters()) < 6e6  # type: ignore[attr-defined]


def test_the_batched_tower_is_the_tower(model: object) -> None:
    views = torch.randint(0, 255, (3, 168, 168, 3), dtype=torch.uint8)
    grids = torch.tensor([[1, nano.GRID, nano.GRID]] * 3)
    with torch.no_grad():
        ours = nano.vision_tokens(model, views).reshape(-1, 192)
        theirs = model.model.visual(nano.patchify(views), grid_thw=grids).pooler_output  # type: ignore[attr-defined]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_patches_are_those_of_the_image_processor() -> None:
    from transformers import Qwen2VLImageProcessor

    view = np.random.default_rng(0).integers(0, 255, (168, 168, 3), dtype=np.uint8)
    half = [0.5, 0.5, 0.5]
    processor = Qwen2VLImageProcessor(
        min_pixels=168 * 168, max_pixels=168 * 168, patch_size=14, image_mean=half, image_std=half
    )
    theirs = processor(images=view, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(nano.patchify(torch.from_numpy(view)[None]), theirs, atol=1e-6, rtol=0)


def test_logits_and_positions_are_those_of_transformers(model: object, batch: dict[str, torch.Tensor]) -> None:
    config = model.config  # type: ignore[attr-defined]
    ids, views = batch["ids"], batch["views"]
    kind = (ids == config.image_token_id).int()
    grids = torch.tensor([[1, nano.GRID, nano.GRID]] * len(views))
    with torch.no_grad():
        ours, _, _, _ = nano.forward(model, batch, None)
        theirs = model(  # type: ignore[operator]
            input_ids=ids, pixel_values=nano.patchify(views), image_grid_thw=grids, mm_token_type_ids=kind
        ).logits[batch["learn"]]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    place, _ = model.model.get_rope_index(ids, kind, image_grid_thw=grids)  # type: ignore[attr-defined]
    real = ids != config.text_config.pad_token_id
    assert torch.equal(place[:, real], batch["positions"][:, real])


def test_the_loss_is_on_what_the_assistant_writes() -> None:
    from builder.nano import tokenizer as nano_tokenizer

    question = ask("label", "train", 5)
    episode = make_episode(question, PROFILE, vary=False)
    learnt = [i for i, learn in zip(episode.ids, episode.learn, strict=True) if learn]
    text = nano_tokenizer.build().decode(learnt, skip_special_tokens=False)
    calls, answer = text.rsplit("</tool_call>", 1)
    assert answer == f"{conversation.END}{question.answer}{conversation.END}"
    assert calls.count("<tool_call>") == 2
    assert len(episode.views) == 2
    assert positions(episode.ids, -1).max() == len(episode.ids) - 1


def test_the_conversation_is_what_the_chat_template_renders(model: object, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    nano.save(model, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    call = conversation.tool_call("ZOOM_IN", {"region": [0, 0, 7, 7]})
    image = {"type": "image"}
    messages = [
        {"role": "user", "content": [image, {"type": "text", "text": "What is written on the red label?"}]},
        {"role": "assistant", "content": call},
        {"role": "tool", "content": [image]},
        {"role": "assistant", "content": call.replace("ZOOM_IN", "READ_TEXT")},
        {"role": "tool", "content": '{"text": "A"}'},
    ]
    ours = (
        conversation.opening(PROFILE, "What is written on the red label?", 1)
        + call
        + conversation.tool_response("", 1)
        + call.replace("ZOOM_IN", "READ_TEXT")
        + conversation.tool_response('{"text": "A"}')
    )
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == ours


def test_a_conversation_with_a_history_is_what_the_chat_template_renders(model: object, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    nano.save(model, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    image = {"type": "image"}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [image, image, {"type": "text", "text": "Which is red?"}]},
        {"role": "assistant", "content": "The first."},
        {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [image, {"type": "text", "text": "And here?"}]},
    ]
    history = [("Which is red?", "The first.", 2), ("Sure?", "", 0)]
    ours = conversation.opening(PROFILE, "And here?", 3, system="Be brief.", history=history)
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == ours


@pytest.mark.long
def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe = train.Recipe(steps=3, batch=2, save_every=1, widen=1)
    said: list[str] = []
    train.train(recipe, tmp_path / "whole", tmp_path / "a", said.append)
    short = train.Recipe(steps=3, batch=2, save_every=1, widen=1, stop_after=2)
    train.train(short, tmp_path / "parts", tmp_path / "b", said.append)
    assert json.loads((tmp_path / "b" / "training.json").read_text())["step"] == 2
    train.train(recipe, tmp_path / "parts", tmp_path / "b", said.append)
    whole = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)["model"]
    parts = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["model"]
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value)


def test_the_copy_targets_are_the_tokens_of_the_answer() -> None:
    for seed in range(6):
        episode = make_episode(ask("label", "train", seed), PROFILE, vary=False)
        assert episode.copies
        assert all(episode.ids[write + 1] == episode.ids[read] for write, read in episode.copies)
        assert max(read for _, read in episode.copies) < min(write for write, _ in episode.copies)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_ends_in_its_answer_and_looks_where_it_should(family: str) -> None:
    from builder.nano import tokenizer as nano_tokenizer

    tokenizer = nano_tokenizer.build()
    for seed in range(12):
        question = ask(family, "train", seed)  # type: ignore[arg-type]
        episode = make_episode(question, PROFILE, vary=False)
        text = tokenizer.decode(episode.ids, skip_special_tokens=False)
        given = text.rsplit("assistant\n", 1)[1].removesuffix(conversation.END)
        assert (pointed(given) is not None) if family == "where" else (given == question.answer)
        assert len({look.at for look in episode.looks}) == len(episode.looks)
        assert sum(look.first for look in episode.looks) == len(question.things) * (1 + (family == "count"))
        assert tokenizer.id_to_token(episode.ids[episode.word]) == question.word


def test_a_failed_call_is_seen_and_not_learnt() -> None:
    from builder.nano import tokenizer as nano_tokenizer

    tokenizer, seen = nano_tokenizer.build(), 0
    for seed in range(120):
        episode = make_episode(ask("colour", "train", seed), PROFILE)
        text = tokenizer.decode(episode.ids, skip_special_tokens=False)
        if '"error"' not in text:
            continue
        seen += 1
        learnt = [i for i, learn in zip(episode.ids, episode.learn, strict=True) if learn]
        assert text.count("<tool_call>") == 2
        assert tokenizer.decode(learnt, skip_special_tokens=False).count("<tool_call>") == 1
    assert seen > 2
