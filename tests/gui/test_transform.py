import random

import pytest
from mmi_gui import Transform

from mmi_agent.errors import ConfigError


def test_a_point_survives_the_way_there_and_back_within_a_pixel():
    chance = random.Random(0)
    for _ in range(2000):
        view = Transform(width_px=chance.uniform(1, 2000), height_px=chance.uniform(1, 2000))
        x, y = chance.random() * view.width_px, chance.random() * view.height_px
        assert view.to_viewport(*view.to_picture(x, y)) == pytest.approx((x, y), abs=1)


def test_a_mark_in_the_picture_survives_where_pixels_are_finer_than_thousandths():
    view = Transform(width_px=1280, height_px=1024)
    for thousandth in range(1000):
        assert view.to_picture(*view.to_viewport(thousandth, thousandth)) == (thousandth, thousandth)


def test_no_point_leaves_the_picture():
    view = Transform(width_px=1, height_px=300)
    assert view.to_viewport(1000, 1000) == (0.5, 299.5)
    assert view.to_picture(-100, 9999) == (0, 1000)
    with pytest.raises(ConfigError, match="size"):
        Transform(width_px=0, height_px=1)
