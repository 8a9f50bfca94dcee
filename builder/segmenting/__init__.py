"""A segmenter that somebody configures: found, tried, published as two models beside the pipeline's, taken away."""
