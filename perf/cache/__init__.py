"""`pixelis bench cache`: what the caches save, and what they do while Redis fails."""
