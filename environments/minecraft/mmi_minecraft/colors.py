"""The flat colours in which blocks are drawn: a small table of ours, nothing of the game's pictures."""

import hashlib

from mmi_minecraft.block_state import BlockState

__all__ = ["RGB", "color_of", "oklab", "shaded"]

RGB = tuple[int, int, int]

_DYES: dict[str, RGB] = {
    "white": (233, 236, 236),
    "light_gray": (142, 142, 134),
    "gray": (64, 68, 72),
    "black": (22, 22, 26),
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
_CONCRETES: dict[str, RGB] = {
    "white": (206, 212, 214),
    "light_gray": (126, 126, 116),
    "gray": (54, 58, 62),
    "black": (10, 12, 16),
    "brown": (96, 60, 32),
    "red": (142, 34, 34),
    "orange": (224, 98, 2),
    "yellow": (240, 176, 22),
    "lime": (94, 168, 26),
    "green": (74, 92, 38),
    "cyan": (22, 120, 136),
    "light_blue": (36, 138, 198),
    "blue": (46, 48, 144),
    "purple": (100, 32, 156),
    "magenta": (170, 50, 160),
    "pink": (214, 102, 144),
}
_TERRACOTTAS: dict[str, RGB] = {
    "white": (210, 178, 162),
    "light_gray": (136, 108, 98),
    "gray": (58, 42, 36),
    "black": (38, 24, 18),
    "brown": (78, 52, 36),
    "red": (144, 62, 48),
    "orange": (162, 84, 38),
    "yellow": (186, 134, 36),
    "lime": (104, 118, 54),
    "green": (76, 84, 42),
    "cyan": (88, 92, 92),
    "light_blue": (114, 110, 138),
    "blue": (74, 60, 92),
    "purple": (118, 70, 86),
    "magenta": (150, 88, 110),
    "pink": (162, 78, 80),
}
_DYED = {"concrete": _CONCRETES, "terracotta": _TERRACOTTAS}  # takes a dye in its own way; all else as wool does
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
    "end_stone_brick": (218, 224, 162),
    "end_stone": (222, 222, 164),
    "stone_brick": (128, 128, 130),
    "cobblestone": (116, 116, 116),
    "brick": (152, 90, 76),
    "andesite": (138, 140, 140),
    "diorite": (196, 196, 198),
    "granite": (154, 108, 88),
    "prismarine": (100, 168, 156),
    "quartz": (238, 232, 224),
    "terracotta": (152, 94, 68),
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
            return _DYED.get(name.removeprefix(f"{dye}_"), _DYES)[dye]
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


def oklab(color: RGB) -> tuple[float, float, float]:
    """The colour in Oklab, where colours are about as far apart as they look.

    CIELAB is not that for blue: the wool nearest to pure blue is purple there.

    Args:
        color: In sRGB, 0 to 255 each.

    Returns:
        Lightness, 0 to 1; from green to red and from blue to yellow, about -0.3 to 0.3.

    Source: B. Ottosson, "A perceptual color space for image processing", 2020.
    """
    red, green, blue = (_linear(part / 255) for part in color)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear(part: float) -> float:
    """How much light that is."""
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
