"""The default checkpoint: generated scenes, episodes, training, and what a trained one has lived through."""
