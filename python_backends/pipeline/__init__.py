"""prepare, recall, reason, finish: the ensemble's steps as plain functions, and `agent`, which streams the same ones.

    images, question, options
      -> prepare.Preparer   -> PreparedRequest, views
      -> recall.recall      -> RecallOutcome, key        (beside reason)
      -> reason.Reasoner    -> events, AgentOutcome
      -> finish.Finisher    -> PipelineResult

They reach the other models through `models.Models`: by BLS inside Triton (`bls.py`), or in this process (`local.py`).
"""
