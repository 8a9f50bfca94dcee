"""The files of a checkpoint's directory: which there must be, and what may not be among them."""

from __future__ import annotations

from pathlib import Path

from builder.checkpoints.architecture import read_json
from builder.checkpoints.weights import INDEX
from pixelis.errors import BuildError

NEEDED = ("config.json", "tokenizer.json", "preprocessor_config.json")
WANTED = {
    "generation_config.json": "the ends of a turn are taken from config.json and tokenizer.json",
    "pixelis.json": "its view, coordinates and dialect are its family's",
}
"""Files that a build does without, and what it does then."""
_CODE_IN = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_folder(directory: Path) -> list[str]:
    """The names, before any content: what is missing, pickled, linked out of the folder, or code.

    Returns:
        what is missing and not needed, in words.

    Raises:
        BuildError: the directory cannot be built from.
    """
    if not directory.is_dir():
        raise BuildError(f"{directory} is no directory.", mend="Name a Hugging Face directory.")
    _check_links(directory)
    _check_pickles(directory)
    missing = [name for name in NEEDED if not (directory / name).is_file()]
    if missing == list(NEEDED) and (directory / "adapter_config.json").is_file():
        mend = "Merge it into its base: `pixelis build --checkpoint BASE --adapter DIR`."
        raise BuildError(f"{directory} is a LoRA adapter, no checkpoint.", mend=mend)
    if missing:
        mend = "Fetch them from the model's page, or save model, tokenizer and processor with `save_pretrained`."
        raise BuildError(f"{directory} lacks {', '.join(missing)}.", mend=mend)
    _check_code(directory)
    said = [f"{name} is not there: {then}" for name, then in WANTED.items() if not (directory / name).is_file()]
    if not _has_template(directory):
        said.append("there is no chat template: conversations are rendered in Qwen's form")
    return said


def _check_links(directory: Path) -> None:
    home = directory.resolve()
    for path in sorted(directory.iterdir()):
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            mend = "Copy the directory with its links followed: `cp -rL DIR COPY` (a download cache is full of them)."
            raise BuildError(f"{path.name} is a link out of {directory}.", mend=mend)


def _check_pickles(directory: Path) -> None:
    """Pickles run code when they are read; beside safetensors they are not read at all."""
    if (directory / INDEX).exists() or any(directory.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLED for path in directory.glob(pattern))
    if pickled:
        raise BuildError(
            f"The weights are pickled ({pickled[0]}), and a pickle can run any code when it is read.",
            mend="Convert them where you trust them: load the model in transformers, then "
            "`model.save_pretrained(DIR, safe_serialization=True)`.",
        )


def _check_code(directory: Path) -> None:
    """`auto_map` asks for Python files of the checkpoint's own to be run."""
    for name in _CODE_IN:
        if (directory / name).is_file() and read_json(directory / name).get("auto_map"):
            raise BuildError(
                f"{name} asks for code of the checkpoint's own (`auto_map`), and none is run.",
                mend="Take `auto_map` out if the model is plain Qwen2.5-VL or Qwen3-VL: their code is in transformers.",
            )


def _has_template(directory: Path) -> bool:
    if any((directory / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    path = directory / "tokenizer_config.json"
    return path.is_file() and bool(read_json(path).get("chat_template"))
