"""Measurements of the visual operations.

`pixelis bench ops`   ops_bench.py: a workload (workload.py, task.py) by two sides (sides.py), judged (judges.py);
                      text_theirs.py: the `rapidocr` package
`pixelis tune ops`    ladders.py: the ladder of each operation that costs least, on the same requests
python -m perf.ops.…  track_quality (and round_trip), localize_quality, segment_quality, text_quality (text_score,
                      text_distance): one operation, at full resolution and adaptively (quality_command, tell)

Pictures and clips with labels are made in labels/.
"""
