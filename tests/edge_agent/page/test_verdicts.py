"""What an inspector says on the page: of frames that were shown, strict, not too often, kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.intake import Intake
from edge_agent.feedback.store import Store
from edge_agent.page.pictures import boxes
from edge_agent.page.shown import EMPTY_MOST, FOUND_MOST, Shown
from edge_agent.page.verdicts import AT_ONCE, Bucket, Verdicts
from edge_agent.page.watch import Watch
from tests.bundles import HEIGHT, WIDTH, dirty, frame


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Line:
    """A watched camera whose frames are shown, and what takes verdicts about them."""

    def __init__(self, folder, see):
        self.clock = Clock()
        self.see = see
        self.path = folder / "feedback.sqlite"
        self.watch = Watch(["top"], self.clock)
        self.shown = Shown("b00c", self.clock)
        self.intake = Intake(
            self.path,
            folder / "captures",
            frozenset({"top"}),
            lambda *_: None,
            remind=lambda *_: None,
            times=dict,
        )
        self.intake.start()
        self.verdicts = Verdicts(
            self.intake, {"top": self.shown}, clock=self.clock, wall=lambda: 1_800_000_000.0
        )

    def show(self, picture, seq, **more):
        self.watch(self.see(picture, seq=seq, **more))
        look = self.watch.cameras["top"].last
        self.shown.keep(look, boxes(look), f"jpeg {seq}".encode())
        return look

    def say(self, **document):
        return self.verdicts(json.dumps(document).encode())

    def kept(self):
        store = Store(self.path)
        try:
            return store.judgements(), store.known()
        finally:
            store.close()


@pytest.fixture
def line(tmp_path, see):
    made = Line(tmp_path, see)
    yield made
    made.intake.close(10)


def test_a_verdict_about_a_box_that_was_shown(line, loaded):
    """The frame is known at once, though its detections are not written yet."""
    look = line.show(frame(3, squares=3), 41)
    (first, *_) = line.shown.document()["frames"][0]["boxes"]
    x0, y0, x1, y1 = first[0] * WIDTH, first[1] * HEIGHT, first[2] * WIDTH, first[3] * HEIGHT
    name = loaded.bundle.manifest.classes[first[5]]
    answer = line.say(
        frame="top/b00c/41", verdict="right", box=[x0, y0, x1, y1], by="ann", **{"class": name}
    )
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["known"] is True
    (judgement,), known = line.kept()
    assert (judgement.name, judgement.by, judgement.at) == (name, "ann", 1_800_000_000.0)
    detected = known[FrameKey("top", "b00c", 41)]
    assert len(judgement.targets(detected.boxes)) == 1
    assert (detected.model, detected.version) == (loaded.model, 1)
    corners = look.result.detections[:1, :4]
    found = detected.boxes[0]
    assert np.abs(corners - [found.x0, found.y0, found.x1, found.y1]).max() < 0.05


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"verdict": "right"}, "frame: is missing"),
        ({"frame": "top/b00c/1", "verdict": "good"}, "not one of right, wrong, missed"),
        ({"frame": "top/b00c/1", "verdict": "right", "token": "x"}, "token: is not a known key"),
        ({"frame": "attic/b00c/1", "verdict": "right"}, "not a camera of this device: top"),
        ({"frame": "top/b00c/41", "verdict": "missed", "class": "rust"}, "is not a class of"),
        ({"frame": "top/b00c/41", "verdict": "wrong", "box": [1, 1, 2, 2]}, "no detection is"),
        ({"frame": "top/b00c/41", "verdict": "right", "by": "a\x1b[2J"}, "by: "),
    ],
)
def test_what_is_refused(line, document, words):
    """One line that says why; nothing is kept."""
    line.show(frame(3, squares=3), 41)
    answer = line.say(**document)
    assert answer.status == 400 and words in answer.body.decode(), answer.body
    assert not line.path.exists() or line.kept()[0] == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 4000, b"[]", b"null", b"7" * 4000])
def test_bodies_that_are_no_verdict(line, body):
    """Whatever comes is one clear refusal."""
    answer = line.verdicts(body)
    assert answer.status == 400 and answer.body.count(b"\n") == 1


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["frame", "verdict", "class", "box", "actual", "by"]), inner
            )
        ),
        max_leaves=9,
    ).map(lambda document: json.dumps(document).encode())
)
def test_no_bytes_do_anything_else(line, body):
    """Fuzzed: refused, and never a fault of ours."""
    line.clock.now += 10.0
    assert line.verdicts(body).status == 400


def test_not_too_often(line):
    """A script or a stuck finger fills no disk; after a pause all is well."""
    line.show(frame(3, squares=3), 41)
    said = {"frame": "top/b00c/41", "verdict": "right"}
    states = [line.say(**said).status for _ in range(AT_ONCE + 5)]
    assert states == [200] * AT_ONCE + [429] * 5
    assert line.say(**said).headers["Retry-After"] == "2"
    line.clock.now += 2.5
    assert [line.say(**said).status for _ in range(3)] == [200, 200, 429]


def test_a_bucket_never_holds_more_than_it_can():
    """A quiet night does not allow a storm in the morning."""
    clock = Clock()
    bucket = Bucket(3, 1.0, clock)
    clock.now = 1e6
    assert [bucket.take() for _ in range(5)] == [True] * 3 + [False] * 2


def test_what_is_kept_of_what_was_shown(line):
    """So many with boxes and so many without, a second apart, the newest; rejected ones never."""
    for number in range(3 * FOUND_MOST):
        line.clock.now += 0.5
        line.show(frame(number, squares=3), 2 * number)
        line.show(frame(1, squares=0), 2 * number + 1)
    line.clock.now += 5
    line.show(dirty(frame(3)), 999, kept=True)
    frames = line.shown.document()["frames"]
    found = [one for one in frames if one["boxes"]]
    assert len(found) == FOUND_MOST and len(frames) == FOUND_MOST + EMPTY_MOST
    ages = [one["age_s"] for one in found]
    assert ages == sorted(ages) and min(np.diff(ages)) >= 1.0
    assert all(one["seq"] != 999 for one in frames)
    newest = frames[0]
    assert line.shown.picture(newest["seq"]).body == f"jpeg {newest['seq']}".encode()
    gone = line.shown.picture(0)
    assert gone.status == 404 and b"go back to the newest" in gone.body
    assert line.shown.detected(FrameKey("top", "b00c", newest["seq"])) is not None
    assert line.shown.detected(FrameKey("top", "cafe", newest["seq"])) is None
