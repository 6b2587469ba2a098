"""Training: recipes, the loop, its checkpoints and its log."""
