"""`pixelis bench formats`: every form of the models beside the eager fp32 original."""
