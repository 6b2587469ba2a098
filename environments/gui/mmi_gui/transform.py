"""From the picture that was shown to the pixels of the page, and back."""

from dataclasses import dataclass

from mmi_agent.errors import ConfigError
from mmi_agent.types import Box

__all__ = ["Transform"]


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Places a picture on the viewport that it shows, perhaps scaled.

    Inside the program positions are 0..1000 of the picture: within 1 px on pictures up to 2000 px wide.

    Attributes:
        width_px: Width of the viewport, in CSS pixels.
        height_px: Height of the viewport, in CSS pixels.
        pixel_ratio: Pixels of the picture per CSS pixel.
    """

    width_px: float
    height_px: float
    pixel_ratio: float = 1

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px, self.pixel_ratio) <= 0:
            raise ConfigError(f"a picture has a size and a pixel ratio above 0, not {self!r}")

    def to_viewport(self, x: float, y: float) -> tuple[float, float]:
        """CSS pixels of a point given as 0..1000 of the picture; never outside of the viewport."""
        return _inside(x * self.width_px / 1000, self.width_px), _inside(y * self.height_px / 1000, self.height_px)

    def to_picture(self, x_px: float, y_px: float) -> tuple[int, int]:
        """0..1000 of the picture for a point in CSS pixels; a point outside of it is moved to its edge."""
        return _thousandths(x_px, self.width_px), _thousandths(y_px, self.height_px)

    def box(self, left_px: float, top_px: float, right_px: float, bottom_px: float) -> Box:
        """0..1000 of the picture for a rectangle in CSS pixels, clipped to the picture."""
        return *self.to_picture(left_px, top_px), *self.to_picture(right_px, bottom_px)


def _inside(offset_px: float, length_px: float) -> float:
    """Keeps an offset on the last pixel: 1000 is the far edge, and what lies there belongs to the neighbour."""
    return min(max(offset_px, 0), max(length_px - 0.5, 0))


def _thousandths(offset_px: float, length_px: float) -> int:
    return min(max(round(offset_px * 1000 / length_px), 0), 1000)
