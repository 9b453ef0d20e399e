"""Right, wrong, missed: an inspector's taps in headless Chromium, and what is kept of them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import pytest

from deploy.demo.browser import CHROMIUM
from edge_agent.feedback.store import Store
from tests.bundles import frame, make_bundle
from tests.edge_agent.page.test_browser import CONTRAST

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
pytest.importorskip("websockets", reason="websockets is not installed")

THERE = (
    "document.querySelectorAll('#strip img').length > 0"
    " && !document.querySelector('#right').disabled"
)
FOUND = "document.querySelectorAll('.targets .box').length"
KEPT = "document.querySelector('#status').className === 'status kept'"


def tap(tab, selector):
    """A finger on the middle of an element, where the screen shows it."""
    place = tab.value(
        f"(() => {{ const e = {selector}; e.scrollIntoView({{block: 'center'}});"
        " const r = e.getBoundingClientRect();"
        " return {x: r.x + r.width / 2, y: r.y + r.height / 2}; })()"
    )
    for kind, points in (("touchStart", [place]), ("touchEnd", [])):
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)


def button(words, inside="body"):
    return (
        f"[...document.querySelectorAll('{inside} button')]"
        f".find((one) => one.innerText.trim() === {words!r})"
    )


@pytest.fixture
def busy(tmp_path):
    """A camera in whose every frame the model finds two things or three."""
    folder = tmp_path / "busy"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:02d}.png"), frame(number, squares=3))
    return f"dir:{folder}?fps=40&loop=1"


def open_judge(browser, url, *, width=400):
    """The judging page on a phone, with a frame in which two things were found."""
    tab = browser.open(url, width=width, height=860, mobile=width < 500)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    tab.wait("document.querySelectorAll('.box').length > 1")
    tab.go(tab.value("document.querySelector('#judge').href"))
    tab.wait(f"location.pathname === '/judge' && ({THERE})")
    tab.wait(f"{FOUND} > 1")
    return tab


def said(device):
    """What is kept, once something is."""
    store = Store(device.layout.feedback)
    try:
        return store.judgements(), store.known()
    finally:
        store.close()


def test_taps_become_verdicts(serve, browser, busy):
    """One box right, the other wrong and what it is, one missed; all about the frame on screen."""
    device, url = serve(source=busy)
    tab = open_judge(browser, url)
    name = tab.value("document.querySelector('#caption').innerText.split(' · ')[1]")
    labels = tab.value(
        "[...document.querySelectorAll('#chips button')].map((one) => one.innerText)"
    )
    tab.value("document.querySelector('#by').value = 'ann'")
    tap(tab, "document.querySelectorAll('.targets .box')[0]")
    tab.wait("document.querySelectorAll('.targets .chosen').length === 1")
    chosen = tab.value("document.querySelector('.targets .chosen').getAttribute('aria-label')")
    assert chosen in labels
    tap(tab, "document.querySelector('#right')")
    tab.wait(KEPT)
    tab.wait(f"document.querySelector('#chips').innerText.includes('{chosen} ✓')")
    other = next(label for label in labels[1:] if label != chosen)
    tap(tab, button(other, "#chips"))
    tap(tab, "document.querySelector('#wrong')")
    tab.wait("document.querySelector('#question').innerText.startsWith('It is no ')")
    actual = tab.value("document.querySelectorAll('#answers button')[1].innerText")
    tap(tab, button(actual, "#answers"))
    tab.wait(f"document.querySelector('#status').innerText.includes('it is {actual}')")
    tap(tab, "document.querySelector('#missed')")
    tab.wait("document.querySelector('#question').innerText === 'What was missed?'")
    tap(tab, "document.querySelector('#answers button')")
    tab.wait("document.querySelector('#status').innerText.includes('is missed')")
    assert tab.value("document.querySelectorAll('#strip .said').length") == 1
    first, second, third = (judgements := said(device))[0]
    assert {str(one.frame) for one in judgements[0]} == {name}
    assert [one.verdict for one in judgements[0]] == ["right", "wrong", "missed"]
    assert first.name == chosen.rsplit(" ", 1)[0] and second.name == other.rsplit(" ", 1)[0]
    assert second.actual == actual and third.box is None and third.by == "ann"
    detected = judgements[1][first.frame]
    meant = [one.targets(detected.boxes) for one in (first, second)]
    assert sorted(map(len, meant)) == [1, 1] and meant[0] != meant[1]
    assert tab.complaints == []


def test_a_frame_in_which_nothing_was_found(serve, browser, tmp_path):
    """It can be right, and something can be missed; nothing can be wrong."""
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame(number, squares=0))
    device, url = serve(source=f"dir:{tmp_path}?fps=40&loop=1")
    tab = browser.open(f"{url}/judge", width=400, height=860, mobile=True)
    tab.wait(THERE)
    assert "nothing found" in tab.text("#caption")
    assert tab.value("document.querySelector('#wrong').disabled")
    tab.value("document.querySelector('#right').click()")
    tab.wait(KEPT)
    (judgement,), known = said(device)
    assert judgement.verdict == "right" and known[judgement.frame].boxes == ()
    assert tab.complaints == []


def test_an_agent_that_does_not_take_it_says_why(serve, browser, busy):
    """A refusal is shown in its own words, and the buttons come back."""
    _, url = serve(source=busy)
    tab = open_judge(browser, url)
    refused = "document.querySelector('#status').innerText.includes('too many verdicts')"
    for _ in range(200):
        tab.wait("!document.querySelector('#right').disabled")
        if tab.value(refused):
            break
        tab.value("document.querySelector('#right').click()")
    assert tab.value(refused)
    assert "failed" in tab.value("document.querySelector('#status').className")
    assert not tab.value("document.querySelector('#right').disabled")


@pytest.fixture
def elsewhere():
    """The address of another page on this machine, without any policy of its own."""

    class Plain(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title>")

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_page_elsewhere_cannot_speak_for_the_inspector(serve, browser, elsewhere):
    """Another port of this machine is another site; the same words from the page itself count."""
    device, url = serve()
    send = (
        f"fetch('{url}/api/feedback', {{method: 'POST', mode: 'MODE', credentials: 'include',"
        " body: JSON.stringify({frame: 'top/ab/1', verdict: 'right'}),"
        " headers: {'Content-Type': 'KIND'}}).then((one) => one.type + one.status, () => 'no')"
    )
    tab = browser.open(elsewhere)
    answers = [
        tab.value(send.replace("MODE", mode).replace("KIND", kind))
        for mode in ("no-cors", "cors")
        for kind in ("text/plain", "application/json")
    ]
    assert set(answers) <= {"opaque0", "no"}
    assert not device.layout.feedback.exists() or said(device)[0] == []
    tab.go(f"{url}/judge")
    own = send.replace("MODE", "same-origin").replace("KIND", "application/json")
    assert tab.value(own) == "basic200"
    assert len(said(device)[0]) == 1


@pytest.mark.parametrize("width", [320, 400, 768, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_every_screen_and_finger(serve, browser, busy, tmp_path, width, dark):
    """Nothing sticks out, buttons are as large as a finger, words stand out from their ground."""
    long = ["a class with a name that is far too long for a phone " + "x" * 40, "b", "c"]
    release = make_bundle(tmp_path / "long", changes={"classes": long})
    _, url = serve(release=release, source=busy)
    tab = open_judge(browser, url, width=width)
    tab.shape(width, 860, mobile=width < 500, dark=dark)
    tab.value("document.querySelector('#missed').click()")
    tab.wait("!document.querySelector('#ask').hidden")
    assert tab.value("document.documentElement.scrollWidth") == width
    small = (
        "[...document.querySelectorAll('button, input')].filter((one) => one.checkVisibility()"
        " && !one.closest('.targets') && one.offsetHeight < {}).map((one) => one.innerText)"
    )
    assert tab.value(small.format(38)) == []
    big = "[...document.querySelectorAll('.big')].every((one) => one.offsetHeight >= 60)"
    assert tab.value(big)
    # Labels of boxes lie over the picture, in the colours of the live page.
    faint = {words: ratio for words, ratio in tab.value(CONTRAST).items() if "SPAN" not in words}
    assert faint == {}
    assert tab.complaints == []


def test_names_from_a_bundle_are_only_text(serve, browser, busy, tmp_path):
    """A class named like markup shows as what it is, also as a question and an answer."""
    evil = '<img src=x onerror="document.title=1">'
    _, url = serve(
        release=make_bundle(tmp_path / "odd", changes={"classes": [evil, "b", "c"]}), source=busy
    )
    tab = open_judge(browser, url)
    tab.value("document.querySelector('#missed').click()")
    tab.wait("document.querySelector('#answers').innerText.includes('onerror')")
    assert tab.value("document.querySelectorAll('#answers img, #chips img').length") == 0
    assert tab.value("document.title") == "Right or wrong? · Outpost"
    assert tab.complaints == []
