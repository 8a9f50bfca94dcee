"""What a form costs: time and memory, on which cases, and how large a batch is worth while."""
