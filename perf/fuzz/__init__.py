"""`pixelis bench fuzz`: odd pictures and operations to a real server, each answer judged.

pictures.py (good ones of every kind), damage.py, bombs.py (by hand out of files.py) -> images.py
                                                                 operations.py -> case.py
case.py -> send.py -> judge.py, several at once in run.py; watch.py looks at the server meanwhile; bench.py is all of it
"""
