"""Visual operations without the agent: text in a region, and its colour, as one request.

python -m clients.examples.operations docs/examples/page.png 0 0 400 120
"""

from __future__ import annotations

import argparse

from clients import PixelisClient
from pixelis.schema import Operation, OperationName


def main() -> None:
    """Operate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("region", nargs=4, type=float, metavar=("x1", "y1", "x2", "y2"))
    parser.add_argument("--url", help="host:port of Triton's gRPC")
    said = parser.parse_args()
    asked = [
        Operation(operation=OperationName.READ_TEXT, arguments={"region": said.region}),
        Operation(operation=OperationName.GET_PROPERTIES, arguments={"bbox": said.region}),
    ]
    with PixelisClient(said.url) as client:
        for found in client.group(said.image, asked).results:
            print(f"{found.operation.value}: {found.error or found.result}")


if __name__ == "__main__":
    main()
