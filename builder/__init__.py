"""Checkpoint -> artifact -> gate -> version in the model repository."""
