"""The model, in plain single-device PyTorch: it knows nothing of checkpoints, tokenizers, documents or agents."""
