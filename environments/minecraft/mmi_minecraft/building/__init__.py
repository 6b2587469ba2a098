"""In which order a blueprint can be built by hand, and from where."""

from mmi_minecraft.building.order import BuildOrder, BuildStep, build_order

__all__ = ["BuildOrder", "BuildStep", "build_order"]
