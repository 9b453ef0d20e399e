"""The page in headless Chromium: what a person sees in each state, on a desk and on a phone."""

from __future__ import annotations

import os
import re

import cv2
import pytest

from deploy.demo.browser import CHROMIUM
from tests.brokers import free_port
from tests.bundles import dirty, frame, make_bundle, write_frames
from tests.devices import Device
from tests.pages import page_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
pytest.importorskip("websockets", reason="websockets is not installed")

TOKEN = "0123456789abcdef"
SEES = "document.querySelector('#live')?.naturalWidth > 0"
# WCAG 2.1: contrast of an element's text with the nearest background that is not transparent.
CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] === undefined || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  const worst = {};
  for (const e of document.querySelectorAll("body *")) {
    const words = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!words || !e.checkVisibility() || e.closest("noscript")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) worst[`${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)}`] = ratio;
  }
  return worst;
})()
"""


def write_dirty(folder):
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.png"), dirty(frame(number)))
    return folder


def says(tab, words, level):
    """Wait for a sentence that begins with these words, and check its level."""
    tab.wait(f"document.querySelector('#words').innerText.startsWith({words!r})")
    assert level in tab.value("document.querySelector('#sentence').className").split()


def test_a_camera_that_sees(serve, browser):
    """Picture, boxes, reference with its map, gauges, release, history; nothing from elsewhere."""
    device, url = serve()
    tab = browser.open(url)
    says(tab, "All is well: top sees what it should, tiny 1 judges", "fine")
    tab.wait(SEES)
    tab.wait("document.querySelector('#reference').naturalWidth === 96")
    tab.wait("document.querySelector('#map').naturalWidth > 0")
    tab.wait("document.querySelectorAll('.box').length > 0")
    label = tab.text(".box span")
    assert re.fullmatch(r"(red|green|blue) [01]\.\d\d", label)
    tab.wait("document.querySelector('#caption').innerText.includes('×')")
    assert "SSIM 0." in tab.text("#badge") and "at least 0." in tab.text("#ssim-limit")
    for gauge in ("ssim", "latency", "fps"):
        tab.wait(f"document.querySelector('#{gauge}-line path').getAttribute('d').length > 9")
        assert float(tab.text(f"#{gauge}-value").split()[0]) > 0
    assert "of 300 frames for the next verdict" in tab.text("#drift-limit")
    tab.wait("document.querySelector('#history').innerText.includes('committed by the test')")
    assert "tiny 1 runs" in tab.text("#models") and "cpu, fp32" in tab.text("#models")
    assert "model.loaded" in tab.text("#events") and "96 × 72" in tab.text("#facts")
    asked = tab.value("performance.getEntriesByType('resource').map((one) => one.name)")
    assert all(one.startswith((url, f"blob:{url}")) for one in asked) and len(asked) > 5
    assert tab.value("document.title") == f"{device.id} · Outpost"
    assert tab.complaints == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_every_screen(serve, browser, tmp_path, width):
    """Nothing sticks out sideways, also with the longest sentence; fingers can hit the controls."""
    _, url = serve(source=f"dir:{write_dirty(tmp_path / 'dirty')}?fps=40&loop=1")
    tab = browser.open(url, width=width, height=800, mobile=width < 500)
    says(tab, "Camera top: SSIM", "warning")
    tab.wait(SEES)
    assert tab.value("document.documentElement.scrollWidth") == width
    low = "[...document.querySelectorAll('label, button:not([hidden])')].filter((one) =>"
    assert tab.value(f"{low} one.checkVisibility() && one.offsetHeight < 36).length") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_ground(serve, browser, tmp_path, dark):
    """A contrast of 4.5 (WCAG AA) for every word, in both schemes, while something is wrong."""
    _, url = serve(source=f"dir:{write_dirty(tmp_path / 'dirty')}?fps=40&loop=1")
    tab = browser.open(url, dark=dark)
    says(tab, "Camera top: SSIM", "warning")
    tab.wait("document.querySelector('#history').innerText.includes('committed')")
    paper = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", paper)[0]) < 128) == dark
    assert tab.value(CONTRAST) == {}


def test_a_dirty_lens(serve, browser, tmp_path):
    """What is wrong stands above everything; the picture says that the model did not see it."""
    _, url = serve(source=f"dir:{write_dirty(tmp_path / 'dirty')}?fps=40&loop=1")
    tab = browser.open(url)
    says(tab, "Camera top: SSIM 0.", "warning")
    assert "clean the lens" in tab.text("#words")
    tab.wait("document.querySelector('#caption').innerText.includes('kept from the model')")
    assert tab.value("document.querySelectorAll('.box').length") == 0
    assert "warning" in tab.value("document.querySelector('#badge').className")
    assert tab.value("document.querySelector('#ssim-meter').className") == "meter warning"
    assert tab.value("document.title").startswith("⚠")


def test_what_is_masked_is_black_and_said(serve, browser):
    """In the browser's own pixels: the live picture and the reference."""
    _, url = serve(more="[capture.masks]\ntop = [[0.0, 0.0, 0.5, 1.0]]\n")
    tab = browser.open(url)
    tab.wait(SEES)
    tab.wait("document.querySelector('#caption').innerText.includes('black: masked')")
    tab.wait("document.querySelector('#reference').naturalWidth === 96")
    brightest = """
    ((id, from, to) => {
      const picture = document.querySelector(id), canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [96, 72];
      const pen = canvas.getContext("2d");
      pen.drawImage(picture, 0, 0);
      return Math.max(...pen.getImageData(from, 0, to - from, 72).data.filter((_, i) => i % 4 < 3));
    })"""
    for picture in ("#live", "#reference"):
        assert tab.value(f"{brightest}('{picture}', 0, 40)") < 12
        assert tab.value(f"{brightest}('{picture}', 56, 96)") > 60


def test_a_camera_that_is_down(serve, browser, tmp_path):
    """The reason that the source gave; then frames come and all is well, without a reload."""
    folder = tmp_path / "camera"
    _, url = serve(source=f"dir:{folder}?fps=40&loop=1")
    tab = browser.open(url)
    says(tab, "Camera top gives no frames:", "error")
    tab.wait(f"document.querySelector('#words').innerText.includes({str(folder)!r})")
    assert tab.text("#blank") == "The camera gives no frames"
    write_frames(folder)
    says(tab, "All is well", "fine")
    tab.wait(SEES)
    assert tab.complaints == []


def test_no_release_yet(serve, browser):
    """An enrolled device before its first rollout."""
    _, url = serve(release=None)
    tab = browser.open(url)
    says(tab, "Model tiny has no release yet", "notice")
    assert "nothing runs" in tab.text("#models") and "No picture yet" in tab.text("#blank")
    tab.wait("document.querySelector('#history').innerText.includes('Nothing was ever installed')")
    assert tab.complaints == []


def test_drift(serve, browser, tmp_path):
    """The features that moved, in the sentence and on the gauge."""
    folder = tmp_path / "busy"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:02d}.png"), frame(number, squares=3))
    settings = "[drift]\nspacing_s = 0\nprofile_frames = 60\npsi_max = 1.0\n"
    _, url = serve(source=f"dir:{folder}?fps=100&loop=1", more=settings)
    tab = browser.open(url)
    says(tab, "tiny: outputs differ from the profile (PSI of", "warning")
    tab.wait("document.querySelector('#drift-meter').classList.contains('warning')")
    assert float(tab.text("#drift-value")) > 1.0
    assert "allowed 1." in tab.text("#drift-limit")


def test_an_agent_that_stops_answering(tmp_path, bundle, browser):
    """Said within seconds, what is old is greyed; when it is back, so is the page, by itself."""
    device = Device(tmp_path)
    device.commit(device.add(bundle))
    address = f"127.0.0.1:{free_port()}"
    with device.agent("--page", address) as agent:
        tab = browser.open(page_of(agent))
        says(tab, "All is well", "fine")
        tab.wait(SEES)
        agent.kill()
        says(tab, "The agent does not answer.", "error")
        assert tab.value("document.body.classList.contains('stale')")
        assert tab.text("#link") == "no answer"
    with device.agent("--page", address) as agent:
        page_of(agent)
        says(tab, "All is well", "fine")
        assert not tab.value("document.body.classList.contains('stale')")
        tab.wait("document.querySelector('#ssim-line path').getAttribute('d').length > 9")


def test_several_cameras_are_tabs(serve, browser, tmp_path):
    """By mouse and by arrow keys; each tab tells how its camera is."""
    folder = write_dirty(tmp_path / "dirty")
    second = f'[[camera]]\nid = "side"\nsource = "dir:{folder}?fps=20&loop=1"\nmodel = "tiny"\n'
    _, url = serve(camera=second)
    tab = browser.open(url)
    says(tab, "Camera side: SSIM", "warning")
    tab.wait("document.querySelectorAll('[role=tab]').length === 2")
    chosen = "document.querySelector('[aria-selected=true]')"
    assert tab.value(f"{chosen}.innerText") == "top"
    assert tab.value("document.querySelector('#tab-side').getAttribute('aria-label')") == (
        "side, warning"
    )
    tab.wait("document.querySelector('#live').alt.startsWith('Live picture of camera top')")
    tab.value(f"{chosen}.focus()")
    tab.key("ArrowRight")
    assert tab.value(f"{chosen}.innerText") == tab.value("document.activeElement.innerText")
    assert tab.value(f"{chosen}.innerText") == "side"
    tab.wait("document.querySelector('#live').alt.startsWith('Live picture of camera side')")
    tab.wait("document.querySelector('#facts').innerText.includes('side, up')")
    tab.value("document.querySelector('#tab-top').click()")
    tab.wait("document.querySelector('#live').alt.startsWith('Live picture of camera top')")
    assert tab.complaints == []


def test_several_models(serve, browser, bundle):
    """Each has its card; the gauges are those of the chosen camera's model."""
    frames = '[[camera]]\nid = "side"\nsource = "dir:none"\nmodel = "labels"\n'
    _, url = serve(camera=f'{frames}[[model]]\nname = "labels"\n')
    tab = browser.open(url)
    says(tab, "Model labels has no release yet", "notice")
    tab.wait("document.querySelectorAll('#models .model').length === 2")
    assert "tiny 1 runs" in tab.text("#models") and "labels: nothing runs" in tab.text("#models")
    tab.wait(SEES)
    tab.value("document.querySelector('#tab-side').click()")
    assert tab.text("#blank") == "No picture yet" and tab.text("#ssim-value") == "–"
    tab.wait("document.querySelector('#facts').innerText.includes('side, waiting')")
    assert tab.complaints == []


def test_the_controls(serve, browser):
    """Boxes off, map off, the reference laid over the live picture."""
    _, url = serve()
    tab = browser.open(url)
    tab.wait("document.querySelectorAll('.box').length > 0")
    tab.value("document.querySelector('#show-boxes').click()")
    tab.wait("document.querySelectorAll('.box').length === 0")
    tab.wait("document.querySelector('#map').checkVisibility()")
    tab.value("document.querySelector('#show-map').click()")
    tab.wait("!document.querySelector('#map').checkVisibility()")
    slider = "document.querySelector('#blend')"
    tab.value(f"{slider}.focus()")
    for _ in range(3):
        tab.key("ArrowRight")
    assert tab.value("document.querySelector('#ghost').style.opacity") == "0.03"
    assert tab.value("document.querySelector('#ghost').checkVisibility()")


def test_names_from_a_bundle_are_only_text(serve, browser, tmp_path):
    """A class named like markup shows as what it is."""
    evil = '<img src=x onerror="document.title=1">'
    odd = make_bundle(tmp_path / "odd", changes={"classes": [evil, evil, evil]})
    _, url = serve(release=odd)
    tab = browser.open(url)
    tab.wait("document.querySelectorAll('.box').length > 0")
    tab.wait("document.querySelector('#caption').innerText.includes('onerror')")
    assert tab.text(".box span").startswith("<img src=x")
    assert tab.value("document.querySelectorAll('.box img').length") == 0
    assert tab.complaints == []


def test_the_door(tmp_path, bundle, browser):
    """A token is asked for; afterwards it is neither in the address nor in a script's reach."""
    device = Device(tmp_path, more='[page]\ntoken_file = "page.token"\n')
    device.commit(device.add(bundle))
    path = device.root / "page.token"
    path.write_text(TOKEN)
    os.chmod(path, 0o600)
    with device.agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        tab = browser.open(url)
        assert "needs its token" in tab.text("h1")
        field = "document.querySelector('#token')"
        for given, wanted in (("wrong", "document.querySelector('[role=alert]')"), (TOKEN, SEES)):
            tab.wait(field)
            tab.value(f"({field}.value = {given!r}, {field}.form.submit())")
            tab.wait(wanted)
        assert tab.value("location.href") == f"{url}/"
        assert tab.value("document.cookie") == ""
        assert "refused" not in " ".join(tab.complaints).lower()
