import random

import pytest
from mmi_gui import Transform

from mmi_agent.errors import ConfigError


def test_a_point_survives_the_way_there_and_back_within_a_pixel():
    chance = random.Random(0)
    for _ in range(2000):
        view = Transform(
            left_px=chance.uniform(-3000, 3000),
            top_px=chance.uniform(-3000, 3000),
            width_px=chance.uniform(1, 2000),
            height_px=chance.uniform(1, 2000),
            pixel_ratio=chance.choice([1, 1.25, 1.5, 2, 3]),
        )
        x, y = view.left_px + chance.random() * view.width_px, view.top_px + chance.random() * view.height_px
        back = view.to_device(*view.to_picture(x, y))
        assert back == pytest.approx((x, y), abs=1)
        physical = view.to_physical(*view.from_physical(x * view.pixel_ratio, y * view.pixel_ratio))
        assert physical == pytest.approx((x * view.pixel_ratio, y * view.pixel_ratio), abs=view.pixel_ratio + 0.5)


def test_a_mark_in_the_picture_survives_where_pixels_are_finer_than_thousandths():
    view = Transform(width_px=1280, height_px=1024, left_px=100, top_px=-50)
    for thousandth in range(1000):
        assert view.to_picture(*view.to_device(thousandth, thousandth)) == (thousandth, thousandth)


def test_no_point_leaves_the_picture():
    view = Transform(width_px=1, height_px=300, left_px=7)
    assert view.to_device(1000, 1000) == (7.5, 299.5)
    assert view.to_picture(-100, 9999) == (0, 1000)
    with pytest.raises(ConfigError, match="size"):
        Transform(width_px=0, height_px=1)
