from live import node, play, plot, serve

__all__ = ["node", "play", "plot", "serve"]
