"""`pixelis bench knn`: our indexes beside exact search, hnswlib and usearch.

data/ (vectors, queries) -> contenders/ (one file a library) -> sweep.py (recall against time) -> duel.py (the best of
each, in turns) -> claims.py; crossover.py (from which size on), live.py (while it changes), compact.py (in little
memory), served.py (through Triton), picture.py, show.py; tuned.py and front.py are `pixelis tune knn`
"""
