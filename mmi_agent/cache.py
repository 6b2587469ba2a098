"""Where things stand that are fetched or made once, and can be fetched or made again."""

import os
from pathlib import Path

__all__ = ["cache_root"]


def cache_root() -> Path:
    """The folder of this user for them: `$MMI_CACHE`, else `mmi_agent` under the XDG cache."""
    if given := os.environ.get("MMI_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmi_agent"
