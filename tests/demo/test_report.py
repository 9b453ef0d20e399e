"""deploy.demo.facts and deploy.demo.page: what was recorded is what the report says."""

import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from deploy.demo import facts
from deploy.demo.page.chart import Panel, Series, timeline
from deploy.demo.page.report import Picture, render
from tests.demo.recordings import Script, story

GOOD = (facts.Check("all is well", True),)


def report(recording, checks=GOOD):
    """The facts of a recording as report.json has them."""
    final = {"current_version": 1, "banned": [{"version": 4}]}
    return facts.document(
        recording, checks=checks, duration_s=135.0, broker="mosquitto", final=final
    )


def test_transitions_are_in_order_with_both_states():
    """Every transition is there with release, version and reason."""
    steps = report(story())["transitions"]
    assert [step["t"] for step in steps] == sorted(step["t"] for step in steps)
    assert steps[0] == {
        "t": 12.0, "release": "defects/1", "version": 1, "from": "TRIAL", "to": "COMMITTED",
        "reason": "healthy for 8 s on 80 frames",
    }  # fmt: skip


def test_frames_add_up_over_restarts_of_the_agent():
    """Counters begin anew with each boot; the report adds the last of each."""
    script = Script()
    script.say(1, "up/metrics/system", frames_captured_total=10)
    script.say(2, "up/metrics/system", frames_captured_total=30)
    script.recording.add(
        "outpost/v1/d/up/metrics/system",
        b'{"ts": 3, "boot": "b2", "seq": 1, "model_version": 1, "frames_captured_total": 5}',
        retained=False,
    )
    assert facts.frames(script.recording)["captured"] == 35


def test_input_faults_are_stretches():
    """A fault lasts from its raising to its clearing; an open one to the end."""
    recording = story()
    assert [(a, b) for a, b, _ in facts.input_faults(recording, 135)] == [(90.0, 106.0)]
    open_ended = Script()
    open_ended.event(5, "gate.rejecting", "dirty")
    assert facts.input_faults(open_ended.recording, 9) == [(5.0, 9, "dirty")]


def test_an_input_fault_lasts_as_long_as_any_check_fails():
    """Blur and SSIM overlap: one stretch, told by the first."""
    script = Script()
    script.event(5, "gate.rejecting", "blurred", check="blur")
    script.event(6, "gate.rejecting", "unlike", check="ssim")
    script.event(7, "gate.cleared", "sharp", check="blur")
    script.event(9, "gate.cleared", "alike", check="ssim")
    assert facts.input_faults(script.recording, 12) == [(5.0, 9.0, "blurred")]


def test_running_follows_the_versions():
    """The strip of versions is what the metrics say that ran."""
    versions = [version for _, _, version in facts.running(story(), 135)]
    assert versions == [1, 2, 4, 2, 1]


def test_one_claim_that_is_not_so_makes_the_report_not_ok():
    """ok is the conjunction of all checks."""
    checks = (facts.Check("a", True), facts.Check("b", False))
    assert report(story())["ok"]
    assert not report(story(), checks)["ok"]


class Tags(HTMLParser):
    """Collects tags, and every address that a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "rect", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line", "circle", "polyline"):
            assert self.open.pop() == tag


def page(tmp_path, recording):
    """The rendered page of a recording with one picture."""
    image = tmp_path / "frame.jpg"
    cv2.imwrite(str(image), np.full((48, 64, 3), 90, np.uint8))
    pictures = [Picture(image, "<script>alert(1)</script>")]
    return render(report(recording), recording, pictures, ssim_min=0.55)


def test_the_page_is_one_self_contained_file(tmp_path):
    """Well nested, nothing loaded from elsewhere, text from outside escaped."""
    text = page(tmp_path, story())
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    assert all(link.startswith("data:") for link in parser.links)
    assert "<script>" not in text
    assert "6.1 times the detections per frame of v2" in text


def test_an_empty_recording_still_gives_a_page(tmp_path):
    """A demo that failed early shows what there is."""
    assert "</html>" in page(tmp_path, Script().recording)


def test_chart_points_stay_inside_and_gaps_break_lines():
    """Values outside the range are clamped; a gap gives two lines."""
    series = Series("x", "a", [(0, 1.0), (1, 99.0), (30, 1.0), (31, float("nan")), (32, 1.0)])
    panel = Panel("t", [series], low=0.0, high=2.0)
    svg = timeline(end=32, bands=[], shades=[], marks=[], panels=[panel])
    assert svg.count("<polyline") == 2
    assert "nan" not in svg


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium to render the page")
def test_a_browser_renders_the_page(tmp_path):
    """Headless Chromium draws the charts: the picture is neither blank nor cut."""
    path, shot = tmp_path / "report.html", tmp_path / "shot.png"
    path.write_text(page(tmp_path, story()))
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars",
         "--window-size=1240,1200", f"--screenshot={shot}", path.as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    image = cv2.imread(str(shot))
    assert image.shape[:2] == (1200, 1240)
    chart = image[470:1000, 120:1150]
    assert len(np.unique(chart.reshape(-1, 3), axis=0)) > 50
