"""`pixelis bench checkpoint`: what holds of a checkpoint once it is built. A file a part; `bench.PARTS` names them."""
