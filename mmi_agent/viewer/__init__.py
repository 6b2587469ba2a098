"""A run as one self-contained page. Reads trajectory folders and knows nothing else."""

from mmi_agent.viewer.page import render_run, write_text
from mmi_agent.viewer.salvage import read_intact

__all__ = ["read_intact", "render_run", "write_text"]
