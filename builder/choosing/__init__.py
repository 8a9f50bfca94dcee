"""From what forms cost to the one that is published, or to a bundle that runs without Triton."""
