"""Screens as environments: any web page, and the tasks of MiniWoB++."""

from mmi_gui.browser import BrowserEnvironment
from mmi_gui.miniwob import MiniWobEnvironment, miniwob_tasks
from mmi_gui.transform import Transform

__all__ = ["BrowserEnvironment", "MiniWobEnvironment", "Transform", "miniwob_tasks"]
