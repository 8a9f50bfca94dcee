"""Measurements of the visual operations."""
