"""Screens that nobody recorded: drawn by chance, to learn seeing from before there is anything to do."""
