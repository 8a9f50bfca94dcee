"""`pixelis sweep`: latency and throughput of a model over load, measured by the real `perf_analyzer`."""
