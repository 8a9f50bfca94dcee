"""Tool calls under a grammar: what they may say, which tokens may come, and which of them leave room for the end."""
