"""`python -m pixelis.schema > docs/schema.json`."""

from __future__ import annotations

import json
import sys

from pixelis.schema.published import json_schema

if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
