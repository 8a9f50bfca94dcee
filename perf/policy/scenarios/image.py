"""A second question about the same image."""

from __future__ import annotations

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import at_most, spread
from perf.policy.load import Job, Load
from python_backends.policy import conversation
from python_backends.policy.profile import Profile
from python_backends.policy.tokenizer import PolicyTokenizer

PATCH = 14
QUESTIONS = ("What is written on the red label?", "What colour is the star?")
MOST = 0.3


def image(bench: Bench) -> Found:
    """Time to the first token of both questions, in the checkpoint's own form and with as many visual tokens as it has.

    The visual tokens are there already both times: what the vision encoder costs the first question is not counted.
    """
    if RUNTIME not in bench.systems:
        return Found()
    directory = bench.checkpoint.directory
    profile, tokenizer = Profile.load(directory), PolicyTokenizer(directory)
    first: list[float] = []
    second: list[float] = []
    lengths: list[int] = []
    for number in range(bench.rounds):
        words = bench.prompts(5, number)
        for _ in range(2 if bench.quick else 8):
            picture, tokens = words.picture(profile.view[0] // PATCH)
            for question, into in zip(QUESTIONS, (first, second), strict=True):
                prompt = tokenizer.encode(conversation.opening(profile, question, 1), [len(tokens)]).tolist()
                lengths.append(len(prompt))
                load = Load(jobs=[Job(prompt=prompt, tokens=2, picture=picture)], concurrency=1)
                into.append(bench.run(RUNTIME, load, "image").answers[0].first_s)
    ratios = [later / earlier for earlier, later in zip(first, second, strict=True)]
    row = bench.row("image", system=RUNTIME, images=len(ratios), visual_tokens=len(tokens), prompt_tokens=max(lengths))
    row |= spread("first_question_ms", [1e3 * s for s in first])
    row |= spread("second_question_ms", [1e3 * s for s in second])
    what = f"{bench.name}: time to first token of a second question on the same image over the first one's"
    return Found([{**row, **spread("share", ratios, 3)}], [at_most(what, MOST, ratios, "share")])
