"""The text decoder, emitted layer by layer from mapped weights, where onnxruntime-genai's builder is ruled out."""
