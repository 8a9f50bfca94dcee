"""`pixelis bench e2e`: the plain baseline and the server, side by side, on the same questions."""
