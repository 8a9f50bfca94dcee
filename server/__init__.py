"""The embedded Triton: laid out of a wheel, started, waited for, stopped; nothing is left behind."""
