"""Everything that runs inside Triton's Python backend; only `adapter.py` and `serving/` need Triton to be imported."""
