"""Holds the newest version of every model in a repository against the sizes and digests of its manifest.

It shows what was cut off or damaged on its way, model.py included; it is no signature, as whoever can write the
repository can write a manifest. Standard library alone. Ends with 1 and the reasons, or with 0.
"""

import hashlib
import json
import sys
from pathlib import Path

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def faults(folder: Path) -> list[str]:
    """What in a version's folder is not as its manifest says."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"{MANIFEST} is none ({error})"]
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    there = {name for name in there if name != MANIFEST and "__pycache__" not in name.split("/")}
    found = [f"{name} is missing" for name in sorted(files.keys() - there)]
    found += [f"{name} is not in the manifest" for name in sorted(there - files.keys())]
    for name in sorted(there & files.keys()):
        path, record = folder / name, files[name]
        if path.stat().st_size != record["size"] or sha256(path) != record["sha256"]:
            found.append(f"{name} is not the file that was published")
    return found


def main(repository: Path) -> int:
    """Say what is wrong with a repository."""
    models = sorted(config.parent for config in repository.glob("*/config.pbtxt"))
    if not models:
        print(f"{repository} has no model: is the path right, which holds one folder a model?")
        return 1
    wrong, held = [], 0
    for model in models:
        versions = sorted((path for path in model.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        if versions and (versions[-1] / MANIFEST).is_file():
            held += 1
            wrong += [f"{model.name}/{versions[-1].name}: {fault}" for fault in faults(versions[-1])]
    print("\n".join([*wrong, f"{len(models)} models, {held} with a manifest, {len(wrong)} faults"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
