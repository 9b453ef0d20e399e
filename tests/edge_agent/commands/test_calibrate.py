"""`edge-agent calibrate` as a person uses it, on recordings and folders of a small camera."""

from __future__ import annotations

import json
import threading

import cv2
import numpy as np
import pytest

from edge_agent.cli import main
from edge_agent.commands import calibrate, calibrate_frames
from edge_agent.config import load
from edge_agent.errors import SourceError
from edge_agent.gate import Baseline, Gate
from edge_agent.sources import Frame
from tests.edge_agent.gate.scene import FPS, HEIGHT, WIDTH, picture

CONFIG = """
[device]
id = "cell-3"
data = "data"
[[model]]
name = "defects"
[[camera]]
id = "top"
source = "{source}"
model = "defects"
"""


def write_clip(path, count=90, **how):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    for number in range(count):
        writer.write(picture(number, **how))
    writer.release()
    return path


def write_folder(path, count=40, first=0, **how):
    path.mkdir()
    for number in range(count):
        cv2.imwrite(str(path / f"{number:04d}.png"), picture(first + number, **how))
    return path


@pytest.fixture
def config(tmp_path):
    """A device whose camera is a recording that is read as fast as it goes."""
    write_clip(tmp_path / "clip.avi")
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(source="file:clip.avi?speed=max"))
    return path


def outcome(argv, capsys):
    code = main([str(argument) for argument in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_from_the_camera(config, tmp_path, capsys):
    """A table of what was learnt, a baseline that the gate judges by, and a sheet to look at."""
    code, out, err = outcome(["calibrate", "-c", config, "--minutes", "1"], capsys)
    assert code == 0 and "stands still" in err
    assert "90 frames of 160 x 120" in out and "would have rejected 0 frames of 90" in out
    for word in ("blur", "exposure", "freeze", "displacement", "occlusion", "noise", "ssim"):
        assert word in out
    folder = tmp_path / "data/baseline/top"
    baseline = Baseline.read(folder)
    assert baseline.camera == "top" and baseline.references[0].learnt.frames == 90
    assert baseline.fps is None  # a file that is read at full speed has no rate
    gate = Gate.calibrated(baseline)
    frames = [cv2.imdecode(cv2.imencode(".jpg", picture(n))[1], 1) for n in range(200, 215)]
    assert all(gate.check(shot).passed for shot in frames)
    assert not gate.check(picture(1, blur=2)).passed
    sheet = cv2.imread(str(folder / "default-sheet.png"))
    assert sheet.shape[1] > 1000 and len(np.unique(sheet)) > 100


def test_what_is_masked_is_black_on_the_sheet(config, tmp_path, capsys):
    """The reference and each frame; the baseline itself is that of the whole picture."""
    with config.open("a") as file:
        file.write("[capture.masks]\ntop = [[0.0, 0.0, 0.5, 1.0]]\n")
    code, _, _ = outcome(["calibrate", "-c", config, "--minutes", "1"], capsys)
    assert code == 0
    folder = tmp_path / "data/baseline/top"
    sheet = cv2.imread(str(folder / "default-sheet.png"))
    for left in (0, 280, 560):  # reference, what moves, the worst frame
        assert sheet[40:230, left + 8 : left + 130].max() < 12
        assert sheet[40:230, left + 150 : left + 270].mean() > 30
    gray = Baseline.read(folder).references[0].learnt.still.gray
    assert gray[:, :70].mean() > 30


def test_what_is_ignored_may_change(config, tmp_path, capsys):
    """A cover over it alone is no fault; over more it is."""

    def passes(cover):
        gate = Gate.calibrated(Baseline.read(tmp_path / "data/baseline/top"))
        shots = [picture(number, cover=cover) for number in range(200, 210)]
        return [gate.check(shot).passed for shot in shots].count(True)

    corner = (0, 0, 40, 40)
    assert outcome(["calibrate", "-c", config, "--minutes", "1"], capsys)[0] == 0
    assert passes(corner) == 0
    with config.open("a") as file:
        file.write("[gate.ignore]\ntop = [[0.0, 0.0, 0.32, 0.42]]\n")
    assert outcome(["calibrate", "-c", config, "--minutes", "1"], capsys)[0] == 0
    assert passes(corner) == 10 and passes((0, 0, 100, 100)) == 0


class Steady:
    """30 frames per second by its own clock, as quick as it is read; every 5th is lost."""

    def __init__(self, count):
        self.skipped = {}
        self.finished = False
        self._count, self._seq = count, 0

    def read(self):
        self._seq += 2 if self._seq % 5 == 3 else 1
        if self._seq > self._count:
            self.finished = True
            return None
        return Frame(picture(self._seq), 1000.0 + self._seq / 30.0, self._seq, "top")

    def close(self):
        self.finished = True


def test_the_rate_is_the_cameras_own(config, tmp_path):
    """What was lost on the way does not make it slower; in JSON."""
    config.write_text(CONFIG.format(source="file:clip.avi?loop=1"))
    said = []
    calibrate.run(
        load(config), minutes=5, in_json=True, opener=lambda *_: Steady(100), echo=said.append
    )
    learnt = json.loads(said[0])
    assert learnt["fps"] == pytest.approx(30) and learnt["frames"] == 80
    assert learnt["independent_s"] == pytest.approx(learnt["independent_frames"] / 30)
    assert learnt["size"] == [160, 120] and 0.5 < learnt["still_share"] < 1
    assert {check["measure"] for check in learnt["checks"]} >= {"ssim", "change", "moved", "detail"}
    assert Baseline.read(tmp_path / "data/baseline/top").fps == pytest.approx(30)


def test_a_silent_camera_is_said(config, monkeypatch):
    """No frame for half a minute: where to look next."""
    monkeypatch.setattr(calibrate_frames, "SILENCE_S", 0.05)

    class Silent(Steady):
        def read(self):
            closed.wait(10)
            return None

        def close(self):
            closed.set()

    closed = threading.Event()
    with pytest.raises(SourceError, match=r"camera top: no frame .* `edge-agent doctor`"):
        calibrate.run(load(config), minutes=5, opener=lambda *_: Silent(1))
    assert closed.is_set()


def test_from_a_folder_and_a_second_reference(config, tmp_path, capsys):
    """Day, then night beside it; without a name all begins anew."""
    day = write_folder(tmp_path / "day")
    night = write_folder(tmp_path / "night", light=0.5)
    assert outcome(["calibrate", "-c", config, "--images", day, "--name", "day"], capsys)[0] == 0
    code, out, _ = outcome(
        ["calibrate", "-c", config, "--images", night, "--name", "night"], capsys
    )
    assert code == 0 and "reference night: 40 frames" in out
    gate = Gate.calibrated(Baseline.read(tmp_path / "data/baseline/top"))
    for how, name in (({}, "day"), ({"light": 0.5}, "night")):
        verdict = gate.check(picture(300, **how))
        assert verdict.passed and verdict.reference == name
    outcome(["calibrate", "-c", config, "--images", day], capsys)
    baseline = Baseline.read(tmp_path / "data/baseline/top")
    assert [one.name for one in baseline.references] == ["default"]
    assert len(list((tmp_path / "data/baseline/top").glob("default-*-*.png"))) == 2


def test_bad_frames_among_the_good_ones_are_shown(config, tmp_path, capsys):
    """Two of forty with a hand before the lens: the table counts them, the limits stand."""
    folder = write_folder(tmp_path / "day", count=60)
    for number in (10, 11):
        cv2.imwrite(str(folder / f"{number:04d}.png"), picture(number, cover=(0, 0, 60, 120)))
    (folder / "broken.png").write_bytes(b"no picture")
    cv2.imwrite(str(folder / "small.png"), picture(1)[:60])
    cv2.imwrite(str(folder / "grey.png"), picture(70)[:, :, 0])  # made three channels, and used
    code, out, _ = outcome(["calibrate", "-c", config, "--images", folder], capsys)
    assert code == 0 and "would have rejected 2 frames of 61" in out
    assert "2 frames left out" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "either --minutes"),
        (["--minutes", "1", "--images", "day"], 2, "either --minutes"),
        (["--images", "nowhere"], 6, "nowhere"),
        (["--images", "few"], 6, "5 frames are too few to learn from, 30 are needed"),
        (["--minutes", "0.1", "--camera", "left"], 2, '"left" is not a [[camera]]'),
        (["--images", "few", "--name", "Late Shift"], 2, "1 to 32 of a-z"),
        (["--minutes", "-1"], 2, "--minutes"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    config, tmp_path, capsys, monkeypatch, arguments, code, message
):
    """With its exit code, and nothing is written."""
    write_folder(tmp_path / "few", count=5)
    monkeypatch.chdir(tmp_path)
    got, _, err = outcome(["calibrate", "-c", config, *arguments], capsys)
    last = err.strip().splitlines()[-1]
    assert got == code and message in last
    assert not (tmp_path / "data").exists()


def test_one_of_several_cameras_must_be_named(config, tmp_path, capsys):
    """They are listed."""
    more = '[[camera]]\nid = "side"\nsource = "dir:frames"\nmodel = "defects"\n'
    config.write_text(config.read_text() + more)
    code, _, err = outcome(["calibrate", "-c", config, "--minutes", "1"], capsys)
    assert code == 2 and "name one with --camera: top, side" in err


def test_another_resolution_does_not_join(config, tmp_path, capsys):
    """A reference of another size would never fit; what is there stays as it is."""
    write_folder(tmp_path / "day")
    small = tmp_path / "small"
    small.mkdir()
    for number in range(40):
        cv2.imwrite(str(small / f"{number:02d}.png"), cv2.resize(picture(number), (80, 60)))
    outcome(["calibrate", "-c", config, "--images", tmp_path / "day"], capsys)
    before = (tmp_path / "data/baseline/top/baseline.json").read_bytes()
    code, _, err = outcome(["calibrate", "-c", config, "--images", small, "--name", "b"], capsys)
    assert code == 6 and "160 x 120" in err and "80 x 60" in err
    assert (tmp_path / "data/baseline/top/baseline.json").read_bytes() == before


def test_a_data_folder_that_is_a_file(config, tmp_path, capsys):
    """One line, exit code of the disk."""
    (tmp_path / "data").write_text("")
    write_folder(tmp_path / "day")
    code, _, err = outcome(["calibrate", "-c", config, "--images", tmp_path / "day"], capsys)
    assert code == 8 and "a file, not a folder" in err


def test_doctor_says_whether_a_camera_was_calibrated(config, tmp_path, capsys):
    """A warning with the command before, the references after, a failure when damaged."""
    findings = outcome(["doctor", "-c", config], capsys)[1]
    assert "was not calibrated" in findings and "calibrate -c" in findings
    write_folder(tmp_path / "day")
    outcome(["calibrate", "-c", config, "--images", tmp_path / "day"], capsys)
    assert "calibrated: default (" in outcome(["doctor", "-c", config], capsys)[1]
    (tmp_path / "data/baseline/top/baseline.json").write_text("[]")
    code, out, _ = outcome(["doctor", "-c", config], capsys)
    assert code == 1 and "should be a table" in out
