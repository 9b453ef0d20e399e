"""`edge-agent feedback`, as an inspector calls it."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest

from edge_agent.cli import main
from edge_agent.feedback.store import Store
from edge_agent.health import Health
from tests.bundles import make_bundle, write_frames
from tests.devices import Device
from tests.edge_agent.captures.export.shelves import some
from tests.edge_agent.feedback.scenes import box, detected


@pytest.fixture
def device(tmp_path):
    """A device that remembers three frames: with two dents, with a scratch, without anything."""
    made = Device(tmp_path)
    store = Store(made.config.layout.feedback)
    store.keep_recent(
        [
            detected(box("dent", 0), box("dent", 40), seq=1, boot="ab"),
            detected(box("scratch", 0), seq=2, boot="ab"),
            detected(seq=3, boot="ab"),
        ],
        most_bytes=10**6,
    )
    store.close()
    return made


def call(device, capsys, *arguments):
    code = main(["feedback", *map(str, arguments), "-c", str(device.config_path)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_right_wrong_missed_and_the_report(device, capsys):
    """Three frames, four words, one table."""
    code, out, _ = call(device, capsys, "right", "--frame", "top/ab/1", "--box", "0,0,10,10")
    assert (code, out) == (0, "kept; the device reported 2 dent in top/ab/1\n")
    call(
        device, capsys, "wrong", "--frame", "top/ab/1", "--box", "40,0,50,10", "--actual", "scratch"
    )
    call(device, capsys, "right", "--frame", "top/ab/2")
    code, out, _ = call(device, capsys, "missed", "--frame", "top/ab/3", "--class", "dent")
    assert out == "kept; the device reported nothing in top/ab/3\n"
    code, out, _ = call(device, capsys, "report")
    assert code == 0 and out.startswith("3 frames, 0 of them labelled; 0 verdicts about")
    assert "scratch      1      0       1  1.00 (0.21 to 1.00)  0.50 (0.05 to 0.95)" in out
    assert "camera top" in out and "version defects 2" in out and "top: 6 s (assumed" in out
    assert max(map(len, out.splitlines())) <= 100
    code, by_camera, _ = call(device, capsys, "report", "--by", "camera")
    assert code == 0 and "\ncamera top\n" in by_camera and "SLICE" not in by_camera
    assert re.search(r"\nbackground +0 +0 +0\n", by_camera)
    code, out, _ = call(device, capsys, "report", "--json")
    document = json.loads(out)
    assert document["confusion"]["names"] == ["dent", "scratch", "background"]
    assert document["confusion"]["rows"] == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert document["overall"]["recall"]["count"] == 4


def test_a_report_about_nothing(device, capsys):
    """It says what to do."""
    code, out, _ = call(device, capsys, "report")
    assert code == 0 and "nothing to count yet" in out


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["right", "--frame", "top-ab-1"], "should look like top/1f2e3d4c/123"),
        (["right", "--frame", "attic/ab/1"], '"attic" is not a camera of this device: top'),
        (["wrong", "--frame", "top/ab/1", "--class", "dend"], 'did you mean "dent"'),
        (["wrong", "--frame", "top/ab/1", "--box", "1,2,3"], "should be x0,y0,x1,y1"),
        (["wrong", "--frame", "top/ab/1", "--box", "nan,0,1,1"], "x0 < x1"),
        (["missed", "--frame", "top/ab/1"], "with --class"),
        (["import", "/nowhere/at/all", "--captures", "/nowhere"], "no such folder"),
    ],
)
def test_wrong_calls(device, capsys, arguments, match):
    """One line on stderr, an exit code of its own, nothing kept."""
    code, out, err = call(device, capsys, *arguments)
    assert (code in (2, 8), out) == (True, "") and match in err and err.count("\n") == 1
    assert "nothing to count yet" in call(device, capsys, "report")[1]


def test_a_word_that_comes_before_its_frame_is_joined_later(device, capsys):
    """The ring is written every few seconds; labels may come a day later, or from elsewhere."""
    code, out, _ = call(device, capsys, "wrong", "--frame", "top/ab/77")
    assert code == 0 and "not known (yet), the report looks again" in out
    assert json.loads(call(device, capsys, "report", "--json")[1])["unjoined"] == 1
    store = Store(device.config.layout.feedback)
    store.keep_recent([detected(box("dent", 0), seq=77, boot="ab")], most_bytes=10**6)
    store.close()
    document = json.loads(call(device, capsys, "report", "--json")[1])
    assert (document["unjoined"], document["overall"]["wrong"]) == (0, 1)


def test_frames_that_only_a_capture_knows(device, capsys):
    """The sidecar says what was reported, above the release's thresholds."""
    some(device.config.captures)
    code, out, _ = call(device, capsys, "right", "--frame", "top/b00c/1", "--class", "scratch")
    assert code == 0 and out.startswith("kept; the device reported 2 scratch, 1 crack")


def test_labels_of_an_export(device, tmp_path, capsys):
    """Export, (correct), import, report."""
    some(device.config.captures)
    target = tmp_path / "set"
    options = ["--format", "coco", "-o", str(target), "-c", str(device.config_path)]
    assert main(["captures", "export", *options]) == 0
    code, out, err = call(device, capsys, "import", target)
    assert (code, err) == (0, "left out: 1 picture that the model never judged\n")
    assert out.endswith("took the labels of 2 frames (3 objects)\n")
    assert json.loads(call(device, capsys, "report", "--json")[1])["labelled"] == 2


def test_a_file_of_somebody_else(permissions_bind, device, capsys):
    """Not permitted is said so."""
    device.config.layout.feedback.chmod(0)
    code, _, err = call(device, capsys, "report")
    assert code == 8 and "who owns it" in err


def test_with_a_real_agent(tmp_path, capsys):
    """Frames judged by a running agent are found by the names that it tells them by."""
    folder = write_frames(tmp_path / "frames")
    more = "[feedback]\nrecent_mb = 1.0\n"
    device = Device(tmp_path / "d", source=f"dir:{folder}?fps=40&loop=1", more=more)
    device.commit(device.add(make_bundle(tmp_path / "v1")))
    with device.agent() as agent:
        device.wait_health(lambda model: any(window.inferred for window in model.windows))
        boot = Health.read(device.layout.health).boot
        assert agent.stop() == 0, agent.text()
    with sqlite3.connect(device.config.layout.feedback) as db:
        ((seq,),) = db.execute("SELECT min(first) FROM recent WHERE boot = ?", (boot,))
    code, out, _ = call(device, capsys, "right", "--frame", f"top/{boot}/{seq}")
    assert code == 0 and out.startswith("kept; the device reported ")
    store = Store(device.config.layout.feedback)
    assert len(store.known()) == 1
    store.close()
