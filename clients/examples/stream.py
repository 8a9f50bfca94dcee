"""The same question, step by step; errors by their class.

python -m clients.examples.stream docs/examples/scene-1.jpg "What is written on the blue label?"
"""

from __future__ import annotations

import argparse
import sys

from clients import PixelisClient
from pixelis.errors import PixelisError, Unavailable


def main() -> None:
    """Ask and print what happens as it happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("question")
    parser.add_argument("--url", help="host:port of Triton's gRPC")
    said = parser.parse_args()
    try:
        with PixelisClient(said.url) as client:
            for event in client.stream(said.image, said.question):
                if event.operation is not None:
                    print(f"{event.step}. {event.operation.operation.value} {event.operation.arguments}")
                elif event.result is not None:
                    print(f"= {event.result.answer}")
    except Unavailable as error:
        sys.exit(f"Start a server first: pixelis serve. {error}")
    except PixelisError as error:
        sys.exit(f"{error.code}: {error}")


if __name__ == "__main__":
    main()
