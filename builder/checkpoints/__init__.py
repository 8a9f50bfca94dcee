"""A user's own checkpoint: what its directory says, what is wrong with it, what building it will take."""
