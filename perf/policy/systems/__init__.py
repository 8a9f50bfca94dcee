"""Ways to decode one checkpoint for many requests."""
