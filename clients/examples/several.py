"""Many questions at once from asyncio, four on their way at a time; one that fails leaves the others alone.

python -m clients.examples.several "How many shapes are there?" docs/examples/scene-1.jpg docs/examples/scene-2.jpg
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from clients import AsyncPixelisClient
from pixelis.errors import PixelisError


async def ask_all(url: str | None, question: str, images: Sequence[str]) -> list[str]:
    """An answer, or an error's words, for each image."""
    room = asyncio.Semaphore(4)
    async with AsyncPixelisClient(url, retries=2) as client:

        async def ask(image: str) -> str:
            async with room:
                try:
                    return (await client.ask(image, question)).answer
                except PixelisError as error:
                    return f"{error.code}: {error}"

        return list(await asyncio.gather(*map(ask, images)))


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--url", help="host:port of Triton's gRPC")
    said = parser.parse_args()
    for image, answer in zip(said.images, asyncio.run(ask_all(said.url, said.question, said.images)), strict=True):
        print(f"{image}: {answer}")


if __name__ == "__main__":
    main()
