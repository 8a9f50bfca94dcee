"""The policy where vLLM decodes it: the same contract, and behind it Triton's vLLM backend.

    reason, agent --policy's contract--> policy --text, pictures, sampling--> policy_vllm (backend "vllm")
                  <--events, channel----        <--tokens, log-probabilities--

`vision_encoder` of such a repository gives pixels for visual tokens (`pixels`): the tower is inside vLLM, and nobody
before the policy needs to know. Docs: docs/vllm.md.
"""
