"""Reads the pictures that are scored."""

from pathlib import Path

from PIL import Image

from mmi_agent.errors import ActionError, ConfigError
from mmi_agent.pictures import as_rgb, open_png

__all__ = ["open_file", "open_rgb", "pictures_below"]

_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"))


def pictures_below(folder: Path) -> list[Path]:
    """Every picture in a folder and the folders within, in the order of their names.

    Raises:
        ConfigError: If there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise ConfigError(f"{folder} holds no picture ({', '.join(sorted(_SUFFIXES))})")
    return found


def open_file(path: Path) -> Image.Image:
    """Decodes a picture as it is stored.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        return open_png(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ActionError as error:
        raise ConfigError(f"{path}: {error}") from error


def open_rgb(path: Path) -> Image.Image:
    """Decodes a picture as a person sees it; raises as `open_file` does."""
    return as_rgb(open_file(path))
