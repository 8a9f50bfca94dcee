"""The same checkpoint in the form that each system reads."""
