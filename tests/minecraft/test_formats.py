"""Files of blueprints: what is written is read again the same, what others write is read, hostile ones are refused."""

import gzip
import json
import resource
import struct
import subprocess
import sys
from pathlib import Path

import nbtlib
import pytest
from mmi_minecraft import VOID, Blueprint, Canvas, moved_to
from mmi_minecraft.block_table import block_names
from mmi_minecraft.formats import FORMATS, read_blueprint, write_blueprint
from nbtlib import ByteArray, Compound, Int, List, LongArray, Short, String
from random_blueprints import any_blueprint

from mmi_agent.errors import ConfigError, MMIError, UnknownNameError


def blocks(blueprint: Blueprint) -> dict[tuple[int, int, int], str]:
    """What stands where, from the builder's place."""
    placed = ((blueprint.origin.plus(position), state) for position, state in blueprint.states() if state != VOID)
    return {(x, y, z): str(state) for (x, y, z), state in placed}


def saved(path: Path, root: Compound, name: str = "") -> Path:
    nbtlib.File(root, root_name=name).save(path, gzipped=True)
    return path


def block(name: str, **properties: str) -> Compound:
    tag = {"Name": String(f"minecraft:{name}")}
    return Compound(
        tag | ({"Properties": Compound({k: String(v) for k, v in properties.items()})} if properties else {})
    )


@pytest.mark.parametrize("suffix", [*FORMATS, ".schem version 2"])
def test_what_is_written_is_read_again_the_same(suffix: str, tmp_path: Path) -> None:
    suffix, _, older = suffix.partition(" ")
    newest = set(block_names("1.21.4"))
    tried = 0
    for seed in range(40):
        blueprint = any_blueprint(seed, num_blocks=300 if seed % 4 == 0 else 30)
        if any(state.name not in newest for state in blueprint.palette):
            continue
        path = tmp_path / f"some{suffix}"
        write_blueprint(blueprint, path, sponge=2 if older else 3)
        expected = moved_to(blueprint, (0, 0, 0)) if suffix == ".nbt" else blueprint
        assert read_blueprint(path) == expected
        tried += 1
    assert tried > 20


def test_a_large_blueprint_is_written_and_read(tmp_path: Path) -> None:
    canvas = Canvas()
    for y in range(20):
        canvas.fill(range(100), [y], range(95), "stone" if y % 3 else f"oak_log[axis={'xyz'[y % 2]}]")
    large = canvas.blueprint()
    for suffix in (".schem", ".litematic", ".mcfunction", ".json"):
        write_blueprint(large, tmp_path / f"large{suffix}")
        assert read_blueprint(tmp_path / f"large{suffix}") == large
    with pytest.raises(ConfigError, match=r"190,000 cells are too many for a structure .*: write a \.schem"):
        write_blueprint(large, tmp_path / "large.nbt")
    assert not (tmp_path / "large.nbt").exists()


def test_a_schematic_as_other_programs_write_it(tmp_path: Path) -> None:
    # version 2, ids in any order and with gaps, states said in part, no offset, no metadata, block entities
    root = Compound(
        {
            "Version": Int(2),
            "DataVersion": Int(2975),
            "Width": Short(3),
            "Height": Short(1),
            "Length": Short(2),
            "PaletteMax": Int(2),
            "Palette": Compound({"minecraft:oak_stairs[facing=east]": Int(300), "minecraft:air": Int(0)}),
            "BlockData": ByteArray([0, -84, 2, 0, 0, -84, 2, 0]),  # 300 is 0xAC 0x02, as signed bytes
            "BlockEntities": List[Compound]([Compound({"Id": String("minecraft:chest")})]),
        }
    )
    found = read_blueprint(saved(tmp_path / "roof.schem", root, "Schematic"))
    stairs = "oak_stairs[facing=east]"
    assert blocks(found) == {
        (x, 0, z): stairs if (x, z) in ((1, 0), (1, 1)) else "air" for x in range(3) for z in range(2)
    }
    assert found.name == "roof"


def test_a_litematic_of_two_regions_one_of_them_backwards(tmp_path: Path) -> None:
    def region(position: tuple[int, ...], size: tuple[int, ...], palette: list[Compound], longs: list[int]) -> Compound:
        vectors = {"Position": position, "Size": size}
        return Compound(
            {
                **{key: Compound(zip("xyz", map(Int, value), strict=True)) for key, value in vectors.items()},
                "BlockStatePalette": List[Compound](palette),
                "BlockStates": LongArray(longs),
            }
        )

    many = [block("air"), *(block(f"{color}_wool") for color in ("red", "blue", "lime", "pink"))]
    cells = [index % 5 for index in range(43)]  # three bits each: the 22nd spans two longs
    packed = sum(value << 3 * place for place, value in enumerate(cells))
    longs = [struct.unpack("<q", struct.pack("<Q", packed >> 64 * place & (1 << 64) - 1))[0] for place in range(3)]
    regions = {
        "row": region((0, 0, 0), (43, 1, 1), many, longs),
        "post": region((5, 3, 2), (-1, -2, -1), [block("air"), block("oak_log", axis="y")], [0b0101]),
    }
    root = Compound({"Version": Int(6), "MinecraftDataVersion": Int(3955), "Regions": Compound(regions)})
    found = blocks(read_blueprint(saved(tmp_path / "two.litematic", root)))
    names = ["air", "red_wool", "blue_wool", "lime_wool", "pink_wool"]
    assert {place: name for place, name in found.items() if place[1] == 0} == {
        (x, 0, 0): names[x % 5] for x in range(43)
    }
    assert {place for place, name in found.items() if name == "oak_log"} == {(5, 2, 2), (5, 3, 2)}


def test_a_structure_with_several_palettes(tmp_path: Path) -> None:
    palettes = [[block("oak_planks"), block("torch")], [block("spruce_planks"), block("torch")]]
    root = Compound(
        {
            "size": List[Int]([2, 2, 1]),
            "palettes": List[List[Compound]]([List[Compound](each) for each in palettes]),
            "blocks": List[Compound](
                [
                    Compound({"pos": List[Int]([1, 1, 0]), "state": Int(1), "nbt": Compound()}),
                    Compound({"pos": List[Int]([1, 0, 0]), "state": Int(0)}),
                ]
            ),
        }
    )
    found = read_blueprint(saved(tmp_path / "wreck.nbt", root))
    assert blocks(found) == {(1, 0, 0): "oak_planks", (1, 1, 0): "torch"}
    assert found.size == (2, 2, 1)


def test_a_function_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "house.mcfunction"
    path.write_text(
        "# a floor\n"
        "fill ~1 ~-1 ~ ~-1 ~-1 ~1 minecraft:oak_planks\n"
        '/setblock ~ ~ ~ minecraft:chest[facing=south]{Items:[{id:"apple",Count:1b}]} replace\n\n'
        "fill ~-1 ~ ~ ~1 ~ ~ torch keep\n"
    )
    found = blocks(read_blueprint(path))
    assert {place: name for place, name in found.items() if place[1] == 0} == {
        (-1, 0, 0): "torch",
        (0, 0, 0): "chest[facing=south]",
        (1, 0, 0): "torch",
    }
    assert sum(name == "oak_planks" for name in found.values()) == 6


def test_the_levels_of_a_mindcraft_task(tmp_path: Path) -> None:
    levels = [
        {"level": 0, "coordinates": [142, -60, -179], "placement": [["stone", "oak_door"], ["", "air"]]},
        {"level": 1, "coordinates": [142, -59, -179], "placement": [["stone", "air"], ["", "air"]]},
    ]
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"small_house": {"type": "construction", "blueprint": {"levels": levels}}}))
    found = read_blueprint(path)
    assert found.origin == (142, -60, -179)
    assert [[str(state) for state in row] for row in found.layer(0)] == [
        ["stone", "oak_door"],
        ["structure_void", "air"],
    ]


def test_a_version_that_lacks_a_block_is_told_of(tmp_path: Path) -> None:
    canvas = Canvas()
    canvas[0, 0, 0] = "cherry_fence"
    with pytest.raises(UnknownNameError, match=r"in Minecraft 1\.16\.4 'cherry_fence': did you mean"):
        write_blueprint(canvas.blueprint(), tmp_path / "fence.schem", version="1.16.4")
    with pytest.raises(UnknownNameError, match=r"unknown version of Minecraft '1\.9'"):
        write_blueprint(canvas.blueprint(), tmp_path / "fence.schem", version="1.9")


@pytest.mark.parametrize("suffix", [".schem", ".litematic", ".nbt"])
def test_ten_million_blocks_are_refused_unless_they_are_asked_for(suffix: str, tmp_path: Path) -> None:
    sides = {"x": Int(200), "y": Int(250), "z": Int(200)}
    region = Compound({"Position": Compound(dict.fromkeys("xyz", Int(0))), "Size": Compound(sides)})
    roots = {
        ".schem": {"Version": Int(2), "Width": Short(200), "Height": Short(250), "Length": Short(200)},
        ".litematic": {"Regions": Compound({"huge": region})},
        ".nbt": {"size": List[Int](sides.values())},
    }
    path = saved(tmp_path / f"huge{suffix}", Compound(roots[suffix]))
    with pytest.raises(ConfigError, match=r"200 x 250 x 200 has 10,000,000 cells, more than 1,000,000"):
        read_blueprint(path)
    with pytest.raises(ConfigError, match=r"damaged: no '.*[Pp]alette'"):  # it goes on, and finds nothing more
        read_blueprint(path, max_cells=10_000_000)


def named(tag: int, name: bytes, payload: bytes) -> bytes:
    return bytes([tag]) + struct.pack(">H", len(name)) + name + payload


def compound(*children: bytes) -> bytes:
    return named(10, b"", b"".join(children) + b"\0")


HOSTILE = {
    "a gzip bomb": (gzip.compress(bytes(200 << 20), 9), "unpacks to more than 64 MiB"),
    "tags a hundred thousand deep": (compound(named(9, b"a", b"\x09\0\0\0\x01" * 100_000)), "more than 64 deep"),
    "compounds in compounds": (named(10, b"", b"") * 100_000, "more than 64 deep"),
    "a list of two billion tags that take no room": (
        compound(named(9, b"a", b"\0\x7f\xff\xff\xff")),
        "tags that are none",
    ),
    "an array longer than the file": (compound(named(12, b"a", b"\x7f\xff\xff\xff")), "cut off"),
    "a list longer than the file": (compound(named(9, b"a", b"\x01\x7f\xff\xff\xff")), "more than 1,000,000 tags"),
    "millions of small tags": (
        compound(named(9, b"a", b"\x01\0\x7f\xff\xff" + bytes(0x7FFFFF))),
        "more than 1,000,000",
    ),
    "a length below zero": (compound(named(7, b"a", b"\xff\xff\xff\xff")), "a length of -1"),
    "no such tag": (compound(named(99, b"a", b"")), "no kind of tag 99"),
    "a text that is none": (compound(named(8, b"a", b"\0\x02\xff\xfe")), "damaged: no"),
    "half of a packed file": (gzip.compress(compound(named(8, b"a", b"\0\x02hi")))[:20], "cut off|damaged"),
    "nothing": (b"", "cut off"),
    "lists where compounds should be": (
        compound(
            named(9, b"Schematic", b"\x03\0\0\0\x01\0\0\0\x02"),
            named(9, b"Regions", b"\x03\0\0\0\x01\0\0\0\x02"),
            named(9, b"size", b"\x03\0\0\0\x03\0\0\0\x01\0\0\0\x01\0\0\0\x01"),
            named(9, b"palettes", b"\x03\0\0\0\x01\0\0\0\x05"),
        ),
        "damaged: ",
    ),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "does not begin with a compound"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("suffix", [".schem", ".litematic", ".nbt"])
def test_a_hostile_file_is_refused_in_one_line(what: str, suffix: str, tmp_path: Path) -> None:
    data, says = HOSTILE[what]
    path = tmp_path / f"hostile{suffix}"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=says) as raised:
        read_blueprint(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_more_cells_than_there_is_room_for_are_not_counted_to_the_end(tmp_path: Path) -> None:
    root = {"Version": Int(2), "Palette": Compound({"air": Int(0)}), "BlockData": ByteArray([0] * 9)}
    path = saved(tmp_path / "bomb.schem", Compound({**root, **dict.fromkeys(("Width", "Height", "Length"), Short(2))}))
    with pytest.raises(ConfigError, match="more than the 8 cells are given that are needed"):
        read_blueprint(path)


def test_hostile_files_take_little_memory(tmp_path: Path) -> None:
    paths = []
    for number, (data, _) in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.schem")
        paths[-1].write_bytes(data)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from mmi_agent.errors import MMIError\n"
        "from mmi_minecraft.formats import read_blueprint\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        read_blueprint(Path(path))\n    except MMIError:\n        pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200_000  # KiB; the limit of what is unpacked is 64 MiB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_file_is_never_more_than_an_error(suffix: str, tmp_path: Path) -> None:
    import random

    whole = tmp_path / f"whole{suffix}"
    write_blueprint(any_blueprint(1), whole)
    data = whole.read_bytes()
    plain = gzip.decompress(data) if suffix not in (".json", ".mcfunction") else data
    path = tmp_path / f"damaged{suffix}"
    refused = 0
    for seed in range(150):
        chance = random.Random(seed)
        damaged = bytearray(plain)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged[: chance.randrange(len(damaged))] if seed % 5 == 0 else damaged))
        try:
            read_blueprint(path)
        except MMIError as error:
            refused += 1
            assert len(str(error)) < 1000
    assert refused > 20


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.schem2", b"", "not a form of blueprints"),
        ("a.mcfunction", b"say hi", "line 1: 'say hi' is no setblock or fill"),
        ("a.mcfunction", b"setblock ~ 0 ~ stone", "line 1: some positions are relative"),
        ("a.mcfunction", b"setblock 0 0 0 stone\nsetblock ~ ~ ~ stone", "line 2: some positions are relative"),
        ("a.mcfunction", b"fill ~ ~ ~ ~99999999 ~9 ~9 stone", "line 1: more cells are filled"),
        ("a.mcfunction", b"\n\nsetblock 0 0 0 stoone", "line 3: unknown block 'stoone': did you mean 'stone'"),
        ("a.mcfunction", b"# nothing", "without blocks"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.json", b'{"levels": [{"placement": [["stone"], []]}]}', "rows of level 0 are not equally long"),
        ("a.json", b'{"levels": [{"placement": 3}]}', "level 0 has no placement"),
        ("a.json", b'{"levels": [{"placement": [["stone"]], "coordinates": [0, 1e9, 0]}]}', "three whole numbers"),
        (
            "a.json",
            b'{"levels": [{"placement": [["stone"]], "coordinates": [0, ' + b"9" * 4001 + b", 0]}]}",
            "level 0 has the coordinates .*: the world ends at 30,000,000",
        ),
        ("a.json", b"{}", "expected the levels of one blueprint, found 0"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MMIError, match=says):
        read_blueprint(path)
