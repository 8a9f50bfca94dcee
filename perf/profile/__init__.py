"""`pixelis profile`: where the time of a request goes, and what mending it would give."""
