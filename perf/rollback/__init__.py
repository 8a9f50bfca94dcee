"""`pixelis bench rollback`: what the artifact changes under load costs its callers."""
