"""The policy: conversation, tokens, and decoding for many requests at once."""
