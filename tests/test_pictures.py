"""Pictures come in as untrusted bytes and are stored once."""

import stat
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from mmi_agent import ActionError, FolderPictures, MemoryPictures, TrajectoryError
from mmi_agent.agent.recorder import RunPictures
from mmi_agent.pictures import MAX_SIDE_PX


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


def bomb() -> bytes:
    """A PNG that claims 100,000 x 100,000 pixels."""
    data = encoded((1, 1))
    return data[:16] + (100_000).to_bytes(4, "big") * 2 + data[24:]


@pytest.mark.parametrize(
    "data", [b"", b"no picture", encoded((9, 9), "GIF")[:20], encoded((50, 50), "JPEG")[:300], bomb()]
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
