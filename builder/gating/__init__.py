"""What the gate asks of an artifact: numbers, accuracy on tasks, the first wrong layer."""
