"""Everything that runs inside Triton's Python backend; only `adapter/` and `serving/` need Triton to be imported."""
