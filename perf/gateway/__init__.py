"""`pixelis bench gateway`: what REST before Triton costs."""
