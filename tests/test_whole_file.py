from pathlib import Path

import pytest

from mmi_agent.whole_file import check_writable, write_whole


def test_a_failure_names_the_file_that_was_asked_for_and_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "page.html"
    (taken / "inside").mkdir(parents=True)
    with pytest.raises(OSError) as caught:
        write_whole(taken, b"a page")
    assert caught.value.filename == str(taken)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_whether_it_can_be_written_is_known_before(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    check_writable(page)
    assert list(page.parent.iterdir()) == []
    page.write_text("before")
    check_writable(page)
    assert page.read_text() == "before"
    for refused in (page.parent, page / "below.html"):
        with pytest.raises(OSError):
            check_writable(refused)
