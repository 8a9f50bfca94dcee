"""A question, its answer, and the same as a page that a notebook would show.

python -m clients.examples.ask docs/examples/scene-1.jpg "What is written on the blue label?" --page answer.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clients import PixelisClient


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("question")
    parser.add_argument("--url", help="host:port of Triton's gRPC")
    parser.add_argument("--page", type=Path, help="HTML file to write")
    said = parser.parse_args()
    with PixelisClient(said.url, retries=2) as client:
        answer = client.ask(said.image, said.question, timeout_s=20)
    print(f"{answer.answer} ({answer.confidence:.2f})")
    for action in answer.trajectory:
        if action.operation is not None:
            print(f"  {action.operation.value} {action.arguments}")
    if said.page is not None:
        said.page.write_text(answer._repr_html_(), encoding="utf-8")


if __name__ == "__main__":
    main()
