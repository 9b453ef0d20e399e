"""From a judged frame to two files, whatever the disk does meanwhile."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.sources.folder import read_picture
from tests.edge_agent.captures.scene import DIRTY, Scene, wait_for
from tests.edge_agent.captures.simulator import rows, verdict


def test_a_hard_frame_becomes_a_picture_and_a_sidecar(bundle, tmp_path):
    """Every field of it; PNG gives back the very pixels."""
    scene = Scene(bundle, format="png")
    seen = scene.frames.seen(rows(0.9, 0.26, 0.06), said=verdict())
    scene.listen(seen)
    scene.settle()
    assert sorted(scene.disk.files) == [
        "00000001_top_uncertain.json",
        "00000001_top_uncertain.png",
    ]
    (sidecar,) = scene.sidecars()
    record = sidecar.record
    manifest = bundle.manifest
    assert (record.frame.device, record.frame.camera, record.frame.boot) == (
        "cell-3",
        "top",
        "b00c",
    )
    assert (record.frame.seq, record.frame.captured_at) == (1, seen.frame.captured_at)
    assert (record.release.digest, record.release.version) == (manifest.digest, manifest.version)
    assert record.release.classes == manifest.classes
    assert (record.release.floor, record.release.confidence) == (0.05, 0.25)
    assert [box[4] for box in record.detections] == pytest.approx([0.9, 0.26, 0.06])
    assert record.gate.passed and record.gate.scores["ssim"] == 0.92
    assert record.gate.scores["sharpness"] == 2.0
    assert (record.width, record.height, record.masked) == (64, 48, False)
    (tmp_path / "a.png").write_bytes(scene.disk.files[sidecar.picture])
    assert np.array_equal(read_picture(tmp_path / "a.png"), seen.frame.image)


def test_a_frame_that_the_gate_kept_from_the_model(bundle):
    """No detections, which is not the same as none found."""
    scene = Scene(bundle)
    scene.listen(scene.frames.seen(said=DIRTY))
    scene.settle()
    (sidecar,) = scene.sidecars()
    assert (sidecar.record.reason, sidecar.record.text) == ("check", "lens blurred")
    assert sidecar.record.detections is None and not sidecar.record.gate.passed


def test_an_easy_frame_is_not_kept(bundle):
    """Nor counted."""
    scene = Scene(bundle)
    for _ in range(50):
        scene.listen(scene.frames.seen(rows(0.9, 0.8, 0.1), said=verdict()))
    scene.settle()
    assert scene.disk.files == {} and sum(scene.recorder.totals().values()) == 0


def test_the_first_reason_names_a_capture_and_the_others_are_noted(bundle):
    """The baseline loses nothing to the others."""
    scene = Scene(bundle, baseline_per_hour=3600, seed=4)
    scene.now += 3600
    scene.listen(scene.frames.seen(rows(0.26)))
    scene.settle()
    (sidecar,) = scene.sidecars()
    assert (sidecar.record.reason, sidecar.record.also) == ("baseline", ("uncertain",))


def test_limits_are_counted_by_name(bundle):
    """Spacing, minute, day; a refused reason leaves the frame to the next one."""
    scene = Scene(bundle, spacing_s=5, per_minute=2, per_day=3, reason_share=1.0)
    for second in (0, 1, 5, 10, 65, 130, 200):
        scene.now = 1000.0 + second
        scene.listen(scene.frames.seen(said=DIRTY))
    scene.settle()
    assert scene.total("taken_check") == 3
    refused = {name: scene.total(f"refused_{name}") for name in ("spacing", "minute", "day")}
    assert refused == {"spacing": 1, "minute": 1, "day": 2}


def test_what_was_kept_before_the_restart_counts_for_the_day(bundle):
    """By the age of its files; those of yesterday do not."""
    first = Scene(bundle)
    for _ in range(3):
        first.listen(first.frames.seen(said=DIRTY))
    first.settle()
    disk = first.disk
    disk.modified["00000001_top_check.json"] -= 90_000
    again = Scene(bundle, disk, per_day=3, reason_share=1.0, start=False)
    again.recorder.start()
    wait_for(lambda: again.recorder.totals()["captures_kept"] == 3)
    again.listen(again.frames.seen(said=DIRTY))
    again.settle()
    again.listen(again.frames.seen(said=DIRTY))
    assert again.total("taken_check") == 1 and again.total("refused_day") == 1
    assert again.recorder.totals()["captures_kept"] == 4


def test_events_of_taken_frames_are_few(bundle):
    """One at once, then one a minute with what came meanwhile."""
    scene = Scene(bundle)
    now = scene.now
    for number in range(4):
        scene.now = now + 20 * number
        scene.listen(scene.frames.seen(said=DIRTY))
        scene.listen(scene.frames.seen(rows(0.26)))
        wait_for(lambda number=number: scene.recorder.totals()["captures_kept"] == 2 * number + 2)
    scene.settle()
    first, second = (payload for payload, _ in scene.told)
    assert first["text"] == "1 frame kept (1 check); last 00000001_top_check: lens blurred"
    assert second["text"].startswith("6 frames kept (3 check, 3 uncertain); last 00000007")
    assert (second["taken_check"], second["taken_uncertain"], second["camera"]) == (3, 3, "top")
    assert scene.told[0][1] == bundle.manifest.version


class TestMasks:
    """Privacy masks from the configuration to the file."""

    LEFT = {"top": [[0.0, 0.0, 0.5, 1.0]]}  # noqa: RUF012

    def test_what_is_hidden_is_in_no_file(self, bundle, tmp_path):
        """Neither its pixels nor its boxes; the frame itself stays whole for the others."""
        scene = Scene(bundle, format="png", masks=self.LEFT)
        found = np.concatenate([rows(0.9), rows(0.26, box=(40, 10, 60, 20))])
        seen = scene.frames.seen(found)
        scene.listen(seen)
        scene.settle()
        (sidecar,) = scene.sidecars()
        assert sidecar.record.masked
        assert [box[:2] for box in sidecar.record.detections] == [(40.0, 10.0)]
        (tmp_path / "a.png").write_bytes(scene.disk.files[sidecar.picture])
        kept = read_picture(tmp_path / "a.png")
        assert not kept[:, :33].any() and seen.frame.image[:, :33].all()
        assert np.array_equal(kept[:, 36:], seen.frame.image[:, 36:])

    def test_what_is_hidden_is_no_reason(self, bundle):
        """A person behind the mask does not trigger anything."""
        scene = Scene(bundle, masks=self.LEFT)
        scene.listen(scene.frames.seen(rows(0.26)))
        scene.settle()
        assert scene.disk.files == {}


class TestOffer:
    """The entry for those who find a reason elsewhere."""

    def test_a_shadow_model_s_disagreement(self, bundle):
        """Kept with its evidence."""
        scene = Scene(bundle)
        evidence = {"text": "v3 finds 2 dents more", "candidate": 3, "missing": 2, "iou": 0.4}
        assert scene.recorder.offer(scene.frames.seen(rows(0.9)), "disagreement", evidence)
        scene.settle()
        (sidecar,) = scene.sidecars()
        assert sidecar.record.text == "v3 finds 2 dents more"
        assert sidecar.record.evidence == {"candidate": 3, "missing": 2, "iou": 0.4}

    def test_limits_hold_for_offers_too(self, bundle):
        """And a reason that is switched off is not even counted."""
        scene = Scene(bundle, per_minute=1, reasons=["disagreement"])
        offers = [
            scene.recorder.offer(scene.frames.seen(rows(0.9)), reason, {})
            for reason in ("disagreement", "disagreement", "check")
        ]
        scene.settle()
        assert offers == [True, False, False]
        assert sum(scene.total(f"refused_{name}") for name in ("minute", "spacing", "day")) == 1

    def test_an_unknown_reason_is_a_mistake_of_the_caller(self, bundle):
        """It would be a name that no reader knows."""
        scene = Scene(bundle)
        with pytest.raises(ValueError, match='"boredom" is not one of alert, baseline'):
            scene.recorder.offer(scene.frames.seen(), "boredom", {})
        scene.settle()


def test_the_detector_may_use_its_array_again(bundle):
    """What is written is what was found in that frame."""
    scene = Scene(bundle)
    found = rows(0.9, 0.26)
    with scene.disk.hanging():
        scene.listen(scene.frames.seen(found))
        found[:] = 0
    scene.settle()
    (sidecar,) = scene.sidecars()
    assert [box[4] for box in sidecar.record.detections] == pytest.approx([0.9, 0.26])


def test_a_fault_of_ours_never_becomes_the_camera_s(bundle, caplog):
    """Nothing is raised; the first one is logged, each is counted."""
    scene = Scene(bundle)
    broken = replace(scene.frames.seen(said=DIRTY), frame=None)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            scene.listen(broken)
        assert not scene.recorder.offer(broken, "check", {})
    scene.settle()
    assert scene.total("refused_error") == 4
    assert caplog.text.count("a frame was not looked at") == 1


def test_a_picture_that_cannot_be_encoded_does_not_end_the_thread(bundle, caplog):
    """Counted as an error; the next frame is written."""
    scene = Scene(bundle)
    odd = scene.frames.seen(said=DIRTY)
    odd = replace(odd, frame=replace(odd.frame, image=np.zeros((4, 4, 2), np.uint8)))
    scene.listen(odd)
    scene.listen(scene.frames.seen(said=DIRTY))
    scene.settle()
    assert (scene.total("refused_error"), scene.total("taken_check")) == (1, 1)


def test_what_it_costs_the_camera(bundle, capsys):
    """Loosely: 7 and 150 us on a quiet machine; `make test ARGS="-k costs_the_camera -s"`."""
    scene = Scene(bundle, per_day=100_000, masks={})
    easy = scene.frames.seen(rows(*np.linspace(0.95, 0.6, 30)), said=verdict())
    hard = scene.frames.seen(said=DIRTY)
    idle_us = least_us(lambda: scene.listen(easy), 1000)
    taken_us = []
    for _ in range(10):
        began = time.perf_counter()
        scene.listen(hard)
        taken_us.append((time.perf_counter() - began) * 1e6)
        count = len(taken_us)
        wait_for(lambda count=count: scene.recorder.totals()["captures_kept"] == count)
    scene.settle()
    with capsys.disabled():
        print(f"\nlistener: {idle_us:.1f} us a frame, {min(taken_us):.0f} us a frame that is kept")
    assert idle_us < 200 and min(taken_us) < 5000


def least_us(work, calls, rounds=5):
    """Microseconds per call in the best of some rounds."""
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        spent.append((time.perf_counter() - began) / calls * 1e6)
    return min(spent)
