"""Every known way out of a page, against real servers: the one that nobody allowed is never asked for anything."""

import socket
from collections.abc import Callable

import pytest
from loopback import Browsing, Site

from mmi_agent.errors import EnvironmentFailure

pytestmark = pytest.mark.browser

LEADING_AWAY = {
    "a link": '<a href="{there}">go</a>',
    "a link to a new tab": '<a target=_blank href="{there}">go</a>',
    "a link by way of a redirect": '<a href="/redirect">go</a>',
    "a link by way of two redirects": '<a href="/twice">go</a>',
    "a script": '<button onclick="location.href=`{there}`">go</button>',
    "a pop-up": '<button onclick="window.open(`{there}`)">go</button>',
    "a pop-up that is led on later": '<button onclick="w=window.open(`about:blank`);w.location=`{there}`">go</button>',
    "a pop-up by way of a redirect": '<button onclick="window.open(`/redirect`)">go</button>',
    "a form": '<form action="{there}" method=post><button>go</button></form>',
    "a form that is redirected": '<form action="/redirect"><button>go</button></form>',
    "a meta refresh": "<button onclick=\"location='/refresh'\">go</button>",
    "a page of its own making": (
        "<button onclick=\"location=window.URL.createObjectURL(new Blob(['<script>location=`{there}`</script>'],"
        "{{type:'text/html'}}))\">go</button>"
    ),
}

SENDING_AWAY = {
    "a frame": '<iframe src="{there}"></iframe>',
    "a frame by way of a redirect": '<iframe src="/redirect"></iframe>',
    "a frame of data": "<iframe src=\"data:text/html,<img src='{there}'>\"></iframe>",
    "a picture": '<img src="{there}">',
    "a style sheet": '<link rel=stylesheet href="{there}">',
    "a prefetch": '<link rel=prefetch href="{there}"><link rel=preconnect href="{there}">',
    "a fetch": "<script>fetch('{there}', {{mode: 'no-cors'}})</script>",
    "a fetch by way of a redirect": "<script>fetch('/redirect', {{mode: 'no-cors'}})</script>",
    "a beacon": "<script>navigator.sendBeacon('{there}', 'secret')</script>",
    "a web socket": "<script>new WebSocket('{there}'.replace('http', 'ws'))</script>",
    "events": "<script>new EventSource('{there}')</script>",
    "a worker": "<script>new Worker(URL.createObjectURL(new Blob(['fetch(`{there}`,{{mode:`no-cors`}})'])))</script>",
}


@pytest.fixture
def here(site: Site, elsewhere: Site) -> Site:
    there = f"{elsewhere.origin}/secret"
    site.pages["/redirect"] = (302, {"Location": there}, "")
    site.pages["/twice"] = (301, {"Location": "/redirect"}, "")
    site.pages["/refresh"] = f'<meta http-equiv=refresh content="0;url={there}">waiting'
    return site


@pytest.mark.parametrize("way", LEADING_AWAY)
def test_no_page_leads_away(way: str, here: Site, elsewhere: Site, browse: Callable[..., Browsing]):
    browser = browse(here, "<h1>Home</h1>" + LEADING_AWAY[way].format(there=f"{elsewhere.origin}/secret"))
    browser.click("go")
    browser.do("wait", seconds=0.3)
    assert elsewhere.hits == []
    assert f"blocked: {elsewhere.origin} is not allowed (allowed: {here.origin})" in browser.told
    assert elsewhere.origin not in browser.seen.text.splitlines()[0]
    assert browser.seen.elements, "there is still a page to go on with"


@pytest.mark.parametrize("way", SENDING_AWAY)
def test_no_page_sends_anything_away(way: str, here: Site, elsewhere: Site, browse: Callable[..., Browsing]):
    browser = browse(here, SENDING_AWAY[way].format(there=f"{elsewhere.origin}/secret"))
    browser.do("wait", seconds=0.3)
    assert elsewhere.hits == []
    if way != "a prefetch":  # Chromium may not even try
        assert elsewhere.origin.removeprefix("http://") in browser.told


@pytest.mark.parametrize(
    "address",
    [
        "{there}",
        "file:///etc/passwd",
        "data:text/html,hi",
        "javascript:alert(1)",
        "view-source:{here}",
        "chrome://version",
        "about:blank",
    ],
)
def test_no_tool_opens_what_is_not_allowed(address: str, here: Site, elsewhere: Site, browse: Callable[..., Browsing]):
    browser = browse(here, "<h1>Home</h1>")
    outcome = browser.do("open_address", address=address.format(there=elsewhere.origin, here=here.origin))
    assert outcome.status == "failed"
    assert "is not allowed (allowed: http://127.0.0.1" in outcome.text
    assert browser.find("Home")
    assert elsewhere.hits == []


def test_a_page_cannot_show_a_local_file(here: Site, browse: Callable[..., Browsing]):
    browser = browse(here, '<a href="file:///etc/hostname">go</a><iframe src="file:///etc/hostname"></iframe>')
    browser.click("go")
    assert browser.seen.text.startswith(f"Address: {here.origin}")


def test_webrtc_sends_nothing(here: Site, browse: Callable[..., Browsing]):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stun:
        stun.bind(("127.0.0.1", 0))
        stun.settimeout(1)
        port = stun.getsockname()[1]
        browse(
            here,
            f"<script>c=new RTCPeerConnection({{iceServers:[{{urls:'stun:127.0.0.1:{port}'}}]}});"
            "c.createDataChannel('x');c.createOffer().then(o=>c.setLocalDescription(o))</script>",
        )
        with pytest.raises(TimeoutError):
            stun.recvfrom(100)


def test_an_origin_that_is_allowed_as_well_is_reached(here: Site, elsewhere: Site, browse: Callable[..., Browsing]):
    elsewhere.pages["/secret"] = "<h1>There</h1>"
    browser = browse(here, '<a href="/redirect">go</a>', allow=[elsewhere.origin])
    browser.click("go")
    assert browser.find("There")
    assert "/secret" in elsewhere.hits


def test_an_episode_that_begins_elsewhere_does_not_begin(here: Site, elsewhere: Site, browse: Callable[..., Browsing]):
    with pytest.raises(EnvironmentFailure, match="is not allowed"):
        browse(here, "", path="/redirect")
    assert elsewhere.hits == []
