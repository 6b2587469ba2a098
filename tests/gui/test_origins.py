import pytest
from mmi_gui.origins import AllowList, Origin

from mmi_agent.errors import ConfigError

ALLOWED = AllowList.of(
    ["https://example.org/deep/page", "http://127.0.0.1:8000", "https://*.example.net", "xn--bcher-kva.example"]
)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/",
        "https://EXAMPLE.org:443/x",
        "https://example.org./",
        "wss://example.org/socket",
        "http://127.0.0.1:8000/a?b",
        "https://a.b.example.net/",
        "https://xn--bcher-kva.example/",
        "about:blank",
    ],
)
def test_what_lies_within_an_origin_is_permitted(address: str):
    assert ALLOWED.permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/",
        "https://example.org:8443/",
        "https://example.org.evil.test/",
        "https://evil.test/?https://example.org",
        "https://example.org@evil.test/",
        "https://example.net.evil.test/",
        "https://example.net/",
        "http://127.0.0.1:80000/",
        "http://127.0.0.1/",
        "http://[::1",
        "file:///etc/passwd",
        "view-source:https://example.org/",
        "javascript:alert(1)",
        "chrome://version",
        "filesystem:https://example.org/x",
    ],
)
def test_everything_else_is_not(address: str):
    assert not ALLOWED.permits(address)


def test_what_a_page_makes_itself_is_permitted_in_it_but_not_to_be_opened():
    for address in ("data:text/html,hi", "blob:https://example.org/1", "about:blank"):
        assert ALLOWED.permits(address)
        assert not ALLOWED.permits_opening(address)


def test_a_folder_holds_its_files_and_no_others(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    allowed = AllowList.of([(tmp_path / "in").as_uri() + "/"])
    inside = (tmp_path / "in").as_uri()
    assert allowed.permits(f"{inside}/page.html")
    assert not allowed.permits(f"{inside}/../secret")
    assert not allowed.permits(f"{inside}/%2e%2e/secret")
    assert not allowed.permits(f"{inside}/link")
    assert not allowed.permits(f"{inside}side/page.html")


def test_only_what_is_surely_allowed_escapes_suspicion():
    suspects = ALLOWED.suspects()
    assert not suspects.match("https://example.org/x")
    for address in (
        "https://example.org.evil.test/",
        "https://example.org@evil.test/",
        "file:///x",
        "https://a.example.net/",
    ):
        assert suspects.match(address)


@pytest.mark.parametrize("text", ["ftp://example.org", "", "https://", "http://a:b", "https://exa mple\0.org:99999"])
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(ConfigError):
        Origin.parse(text)


def test_a_mistyped_folder_does_not_allow_the_one_around_it(tmp_path):
    (tmp_path / "page.html").write_text("")
    for mistyped in ("typo/", "typo", "page.html/"):
        with pytest.raises(ConfigError, match="does not exist"):
            Origin.parse(f"{tmp_path.as_uri()}/{mistyped}")
    with pytest.raises(ConfigError, match="three slashes"):
        Origin.parse("file://tmp/")
    assert Origin.parse(f"{tmp_path.as_uri()}/page.html?a#b").host == str(tmp_path)


@pytest.mark.parametrize("text", ["*", "https://*", "*.", "ex*mple.org", "*.*.org", "https://example.*"])
def test_a_wildcard_that_would_match_nothing_is_refused(text: str):
    with pytest.raises(ConfigError, match="as in"):
        Origin.parse(text)


def test_a_host_beyond_ascii_is_refused_before_two_ways_of_writing_it_allow_another():
    for text in ("https://straße.de", "*.bücher.example"):
        with pytest.raises(ConfigError, match="xn--"):
            Origin.parse(text)
    assert not AllowList.of(["strasse.de"]).permits("https://straße.de/")
