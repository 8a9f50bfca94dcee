"""What an NVIDIA GPU makes of vision towers and decoders in their real shapes, with random weights."""
