from pathlib import Path

import pytest

from mmi_agent.whole_file import write_whole


def test_a_failure_names_the_file_that_was_asked_for_and_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "page.html"
    (taken / "inside").mkdir(parents=True)
    with pytest.raises(OSError) as caught:
        write_whole(taken, b"a page")
    assert caught.value.filename == str(taken)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
