"""`pixelis build`, `lint` and `models`: from the command line to the builder, and how its answers look."""
