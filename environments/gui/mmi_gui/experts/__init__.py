"""Experts that solve tasks of MiniWoB++, to be learnt from.

An expert may look behind the page; its pupil sees screenshot and marked elements alone. So an expert acts with the
ordinary tools, by mark, and does what somebody could know to do who sees no more than the pupil.
"""

from mmi_gui.experts.catalogue import EXPERTS, HELD_OUT
from mmi_gui.experts.page import Act, Expert, Page
from mmi_gui.experts.policy import ExpertPolicy

__all__ = ["EXPERTS", "HELD_OUT", "Act", "Expert", "ExpertPolicy", "Page"]
