"""`pixelis compare A B`: two servers, the same questions, and whether one is better.

sides.py       what A and B are: servers that run, repositories, settings; starts what is to be started
pairs.py       the same questions to both, in turns or at the same time
boundaries.py  how far a statistic may lie off at each of several looks
signed_rank.py by how much the second of a pair takes longer, whatever the pairs are like
latency.py     both together: looks at the pairs as they come, and stops early
verdict.py     latency, answers, accuracy and memory, and what follows
run.py         all of it
show.py        for people
"""
