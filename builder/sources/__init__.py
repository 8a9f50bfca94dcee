"""What each model is before it is exported, one file a model."""
