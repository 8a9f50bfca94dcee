"""The gateway from Python's standard library alone: nothing is to be installed where the question comes from.

PIXELIS_KEY=pxl_... python clients/examples/rest.py docs/examples/scene-1.jpg "What is written on the blue label?"
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("question")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    said = parser.parse_args()
    body = {"image": base64.b64encode(said.image.read_bytes()).decode(), "question": said.question, "timeout_s": 20}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('PIXELIS_KEY', '')}"}
    request = urllib.request.Request(f"{said.url}/infer", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            print(json.load(response)["answer"])
    except urllib.error.HTTPError as error:
        sys.exit(json.load(error)["error"]["message"])


if __name__ == "__main__":
    main()
