"""Weights from elsewhere, brought into our names and kept in folders that are checked before use."""
