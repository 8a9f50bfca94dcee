"""The plain baseline: the same pipeline in one process, as it would be written by hand with PyTorch and transformers.

The steps (`prepare`, `recall`, `reason`, `finish`), the visual operations, reward and vote are the very functions that
are served; only the models under them differ:

    policy, vision encoder   transformers, eager, float32, sdpa: `generate` with its KV cache, the tower inside it
    embed_image, embed_text  PyTorch, eager, float32 (sdpa where there is attention)
    dynamics                 PyTorch, eager, float32
    OCR                      PP-OCR comes as ONNX only: its untouched graphs in ONNX Runtime, as RapidOCR runs them
    search                   FAISS, flat, inner product

Nothing is remembered from one request to the next, and nothing is slowed on purpose: every model is loaded once, runs
under `inference_mode`, and takes the threads that it is given.
"""
