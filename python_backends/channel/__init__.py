"""How tokens travel from the policy's process to the agent's while a turn still goes on.

    policy                                      agent
    Speaker.turn(sampling).take(event)  --->    Listener.hear(request id)
            datagrams to `<state>/channel/<name>`, a socket that only this user can reach

Triton carries a turn as one message (`pipeline.bls` says why). What comes here only comes earlier: the message at the
end holds all of the turn, so a channel that cannot be had, or that breaks, costs the stream its pace and nothing else.
"""
