"""Configs that are committed word for word: `python -m tests.builder.golden` writes them again from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from builder.candidate import Candidate, FormatName
from builder.checkpoint_view import NANO
from builder.ngc import NATIVE
from builder.spec import pipeline
from builder.triton_config import config, text
from builder.vllm.specs import vllm_pipeline
from pixelis.settings import Batching, Ngc, Settings, Threads
from python_backends.policy.vllm.engine import MODEL, EngineArgs, EngineFile

HERE = Path(__file__).parent / "golden"
PLANS = ("model.sm86.plan", "model.sm89.plan", "model.sm120.plan")
ENGINE = EngineFile(
    arguments=EngineArgs(model="/nano", served_model_name=MODEL, max_model_len=512, limit_mm_per_prompt={"image": 1}),
    patch=14,
)
FORMS: tuple[FormatName, ...] = ("onnx", "openvino", "torchscript", "tensorrt", "aotinductor")


def values(ngc: Ngc | None = None) -> Settings:
    """Settings that do not depend on the machine or its environment."""
    threads = Threads(intra_op=1, total=2)
    return Settings(batching=Batching(), threads=threads, ngc=ngc or Ngc(), checkpoint=None)


def golden() -> Iterator[tuple[Path, str]]:
    """Where each lies, and what it must say."""
    for spec in pipeline(values()).models:
        yield HERE / "embedded" / f"{spec.name}.pbtxt", text(config(spec, "embedded", values()))
        if spec.kind != "engine":
            yield HERE / "ngc" / f"{spec.name}.pbtxt", text(config(spec, "ngc", values()))
            continue
        for name in FORMS:
            form = spec.as_candidate(Candidate(format=name))
            files = PLANS if name == "tensorrt" else ()
            yield HERE / "ngc" / f"{spec.name}-{name}.pbtxt", text(config(form, "ngc", values(), files))
    in_vllm = vllm_pipeline(pipeline(values()), ENGINE, NANO)
    for name in ("policy", "vision_encoder", MODEL):
        yield HERE / "ngc" / f"vllm-{name}.pbtxt", text(config(in_vllm[name], "ngc", values()))
    text_model = pipeline(values())["embed_text"]
    for accelerator in ("tensorrt", "openvino"):
        made = config(text_model, "ngc", values(Ngc(accelerator=accelerator)))
        yield HERE / "ngc" / f"embed_text-onnx-by-{accelerator}.pbtxt", text(made)
    bf16 = text_model.as_candidate(Candidate(format="openvino", precision="bf16"))
    yield HERE / "ngc" / "embed_text-openvino-bf16.pbtxt", text(config(bf16, "ngc", values()))


def forms() -> str:
    """A line for every form that is built: model and label."""
    lines = [f"{spec.name} {form.label}" for spec in pipeline(values()).models for form in spec.all_candidates]
    return "\n".join(sorted(lines)) + "\n"


def write() -> None:
    """Write all of them, and remove what is none any more."""
    (HERE / "forms.txt").write_text(forms())
    wanted = dict(golden())
    for path in HERE.rglob("*.pbtxt"):
        if path not in wanted:
            path.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    assert set(FORMS) > NATIVE
    write()
