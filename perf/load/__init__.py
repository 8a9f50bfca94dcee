"""`pixelis load`: users of many kinds at once, with locust.

scenarios/     who comes and what they do, as data
scenario.py    such a file, checked
questions.py   what users ask: new questions, or some that come again
users.py       what each kind of user does
locustfile.py  a scenario for locust; also with its own options: `locust -f perf/load/locustfile.py --worker`
run.py         locust as a process, and what it counted
"""
