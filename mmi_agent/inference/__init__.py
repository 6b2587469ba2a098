"""The model at work: documents that grow, calls that always parse, and the model as a policy."""
