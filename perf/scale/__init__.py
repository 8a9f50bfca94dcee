"""How far replicas share: what the parts between them cost, measured, and where each saturates, simulated.

cache_cost, log_cost, balancer_cost, replica_cost    real processes -> rows
costs                                                rows -> one number for each thing that is shared
queueing, log_model, closed_model                    arrivals and service times -> waiting
grid                                                 1 to 1 000 replicas under a mix of requests
validation                                           the same simulations against real processes, while they are few
"""
