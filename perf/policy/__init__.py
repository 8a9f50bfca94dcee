"""`pixelis bench policy`: the policy runtime beside other ways to decode the same checkpoint.

bench -> scenario -> process (one for each system) -> worker -> drive -> system
                  <- run: token times and tokens <-
"""
