"""The flat colours in which blocks are drawn: a small table of ours, nothing of the game's pictures."""

import hashlib

from mmi_minecraft.block_state import BlockState

__all__ = ["RGB", "color_of", "shaded"]

RGB = tuple[int, int, int]

_DYES: dict[str, RGB] = {
    "white": (233, 236, 236),
    "light_gray": (142, 142, 134),
    "gray": (76, 80, 84),
    "black": (34, 34, 40),
    "brown": (114, 72, 42),
    "red": (160, 40, 36),
    "orange": (238, 118, 20),
    "yellow": (246, 198, 40),
    "lime": (112, 184, 26),
    "green": (84, 110, 28),
    "cyan": (22, 138, 146),
    "light_blue": (58, 176, 218),
    "blue": (54, 58, 158),
    "purple": (122, 42, 172),
    "magenta": (190, 70, 180),
    "pink": (238, 142, 172),
}
_WOODS: dict[str, RGB] = {
    "dark_oak": (78, 54, 30),
    "pale_oak": (222, 212, 204),
    "oak": (176, 142, 88),
    "spruce": (118, 88, 52),
    "birch": (208, 192, 132),
    "jungle": (170, 122, 84),
    "acacia": (178, 96, 54),
    "mangrove": (124, 56, 50),
    "cherry": (228, 180, 172),
    "bamboo": (202, 178, 84),
    "crimson": (110, 54, 76),
    "warped": (48, 112, 108),
}
_OTHERS: dict[str, RGB] = {
    "leaves": (66, 124, 42),
    "mossy": (112, 128, 92),
    "red_sandstone": (186, 100, 34),
    "sandstone": (222, 208, 158),
    "blackstone": (48, 44, 54),
    "deepslate": (82, 82, 88),
    "nether_brick": (52, 28, 34),
    "mud_brick": (140, 106, 80),
    "end_stone": (222, 222, 164),
    "stone_brick": (128, 128, 130),
    "cobblestone": (116, 116, 116),
    "brick": (152, 90, 76),
    "andesite": (138, 140, 140),
    "diorite": (196, 196, 198),
    "granite": (154, 108, 88),
    "prismarine": (100, 168, 156),
    "quartz": (238, 232, 224),
    "stone": (126, 126, 126),
    "glass": (190, 226, 238),
    "gravel": (132, 126, 124),
    "dirt_path": (150, 122, 66),
    "grass": (106, 156, 66),
    "dirt": (134, 96, 66),
    "sand": (220, 208, 162),
    "snow": (244, 252, 252),
    "lantern": (226, 170, 84),
    "torch": (255, 206, 80),
    "lava": (212, 90, 18),
    "water": (56, 92, 200),
    "ice": (146, 184, 248),
    "iron": (214, 214, 214),
    "gold": (246, 212, 66),
    "diamond": (104, 228, 218),
    "ladder": (148, 116, 66),
    "chest": (164, 116, 44),
    "hay": (190, 160, 34),
    "scaffolding": (206, 176, 98),
}


def color_of(state: BlockState) -> RGB:
    """The colour of a block; of one that is not in the table, a colour that its name decides."""
    name = state.name
    for dye in sorted(_DYES, key=len, reverse=True):
        if name.startswith(f"{dye}_") and not name.startswith("red_sand"):
            return _DYES[dye]
    for table in (_WOODS, _OTHERS):
        for part in sorted(table, key=len, reverse=True):
            if part in name:
                return shaded(table[part], 0.8) if name.endswith(("_log", "_stem")) else table[part]
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    return (64 + red // 2, 64 + green // 2, 64 + blue // 2)


def shaded(color: RGB, factor: float) -> RGB:
    """Darker below 1, lighter above."""
    red, green, blue = (min(255, round(part * factor)) for part in color)
    return (red, green, blue)
