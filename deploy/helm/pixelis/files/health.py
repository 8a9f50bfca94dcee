"""Asks a gateway whether questions are answered, for a minute at most; says what does not work and ends with 1 or 0."""

import json
import sys
import time
import urllib.error
import urllib.request


def asked(url: str) -> dict[str, object]:
    """The body of `/health`, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return dict(json.load(error))


def main(url: str, patience_s: float = 60.0) -> int:
    """Ask until it is ready."""
    end = time.monotonic() + patience_s
    while True:
        try:
            said = asked(url)
            if said.get("ready"):
                print(f"{url}: ready, without {said['degraded']}" if said["degraded"] else f"{url}: ready")
                return 0
            why = f"models that take no requests: {said.get('degraded')}"
        except (OSError, ValueError) as error:
            why = str(error)
        if time.monotonic() > end:
            print(f"{url}: not ready; {why}")
            return 1
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
