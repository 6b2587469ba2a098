"""Which code trained something."""

import subprocess
from pathlib import Path

__all__ = ["commit_of_code"]


def commit_of_code() -> str | None:
    """The commit of this code, with a plus where files were changed since; None where git does not hold it."""
    try:
        # it may be installed in the midst of somebody's repository
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return told.stdout.strip()
