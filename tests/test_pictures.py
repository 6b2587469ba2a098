"""Pictures come in as untrusted bytes and are stored once."""

import stat
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from mmi_agent import ActionError, FolderPictures, MemoryPictures, TrajectoryError
from mmi_agent.agent.recorder import RunPictures
from mmi_agent.pictures import MAX_SIDE_PX, as_rgb, open_png


def encoded(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


def test_a_png_is_stored_as_it_is_and_once(tmp_path: Path) -> None:
    store, data = FolderPictures(tmp_path / "pictures"), encoded((30, 20))
    first, second = store.put(data), store.put(data)
    assert first == second and (first.width_px, first.height_px) == (30, 20)
    assert store.get(first.digest) == data
    assert [path.name for path in store.folder.iterdir()] == [f"{first.digest}.png"]
    with pytest.raises(KeyError):
        store.get("0" * 64)


def test_other_formats_become_png() -> None:
    store = MemoryPictures()
    picture = store.put(encoded((8, 8), "JPEG"), origin="drawn")
    assert store.get(picture.digest).startswith(b"\x89PNG") and picture.origin == "drawn"


def test_the_smallest_and_the_largest() -> None:
    store = MemoryPictures()
    assert store.put(encoded((1, 1))).width_px == 1
    large = store.put(encoded((20_000, 20_000), mode="1"))
    assert (large.width_px, large.height_px) == (MAX_SIDE_PX, MAX_SIDE_PX)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def upside_down() -> bytes:
    """A JPEG whose left half is red, taken with the camera turned by 180 degrees."""
    image = Image.new("RGB", (64, 32), "blue")
    image.paste("red", (32, 0, 64, 32))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    return saved(image, "JPEG", exif=exif)


def moving(kind: str) -> bytes:
    return saved(Image.new("RGB", (8, 8), "red"), kind, save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")])


def deep_png() -> bytes:
    """A PNG of 16 bits for each of red, green and blue: one pixel of full red."""
    row = zlib.compress(b"\0" + bytes([0xFF, 0xFF, 0, 0, 0, 0]))
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", row), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def palette() -> bytes:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    return saved(image, transparency=0)


_PURE = Image.new("RGB", (1, 1), "red")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0)),
        (saved(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        (saved(Image.new("I;16", (9, 9), 0x80FF)), (128, 128, 128)),
        (deep_png(), (255, 0, 0)),
        (moving("GIF"), (255, 0, 0)),
        (moving("PNG"), (255, 0, 0)),
        (upside_down(), (255, 0, 0)),
        (saved(Image.new("RGBA", (9, 9), (0, 0, 0, 0))), (255, 255, 255)),
        (saved(Image.new("RGBA", (9, 9), (255, 0, 0, 128))), (255, 127, 127)),
        (saved(Image.new("LA", (9, 9), (0, 0))), (255, 255, 255)),
        (saved(Image.new("RGB", (9, 9), (1, 2, 3)), transparency=(1, 2, 3)), (255, 255, 255)),
        (palette(), (255, 0, 0)),
        (saved(Image.new("1", (9, 9), 1)), (255, 255, 255)),
        (saved(_PURE), (255, 0, 0)),
        (saved(_PURE.resize((20_000, 1))), (255, 0, 0)),
    ],
    ids="cmyk-jpeg cmyk-tiff gray-16 rgb-16 gif apng exif clear half gray-clear keyed palette bit one wide".split(),
)
def test_the_model_sees_what_a_person_sees(data: bytes, expected: tuple[int, int, int]) -> None:
    store = MemoryPictures()
    seen = as_rgb(open_png(store.get(store.put(data).digest)))
    assert seen.mode == "RGB"
    pixel = seen.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert all(abs(found - wanted) <= 2 for found, wanted in zip(pixel, expected, strict=True)), pixel


def test_a_picture_that_lies_on_its_side_has_the_size_that_is_seen() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for kind in ("PNG", "JPEG"):
        picture = MemoryPictures().put(saved(Image.new("RGB", (30, 20)), kind, exif=exif))
        assert (picture.width_px, picture.height_px) == (20, 30)


def bomb() -> bytes:
    """A PNG that claims 100,000 x 100,000 pixels."""
    data = encoded((1, 1))
    return data[:16] + (100_000).to_bytes(4, "big") * 2 + data[24:]


def hollow_avif() -> bytes:
    """An AVIF whose pixels are zeros: decoding it is no error of reading."""
    head, _, pixels = saved(Image.linear_gradient("L"), "AVIF").partition(b"mdat")
    return head + b"mdat" + bytes(len(pixels))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        encoded((9, 9), "GIF")[:20],
        encoded((50, 50), "JPEG")[:300],
        bomb(),
        saved(Image.effect_noise((50, 50), 90))[:900],
        hollow_avif(),
    ],
)
def test_what_is_no_picture_is_one_error(data: bytes) -> None:
    with pytest.raises(ActionError) as error:
        MemoryPictures().put(data)
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=stat.S_IRUSR)
    with pytest.raises(TrajectoryError, match="cannot write the picture"):
        FolderPictures(tmp_path / "file" / "pictures").put(encoded((2, 2)))


def test_a_look_that_no_line_names_costs_no_disk(tmp_path: Path) -> None:
    store = RunPictures(tmp_path)
    looks = [store.put(encoded((width, 5))) for width in range(1, 40)]
    assert not list(tmp_path.iterdir())
    store.keep(looks[-1])
    assert [path.stem for path in tmp_path.iterdir()] == [looks[-1].digest]
    with pytest.raises(TrajectoryError, match="never put"):
        store.keep(looks[0])
