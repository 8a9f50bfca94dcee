"""Checkpoints that are served by name, beside the default one."""
