"""A repository whose policy is decoded by vLLM, in Triton's vLLM backend: `pixelis build --policy-runtime vllm`."""
