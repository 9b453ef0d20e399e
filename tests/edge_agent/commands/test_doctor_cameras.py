"""What the doctor says of cameras: it opens them as the agent does, and takes nothing away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.commands import doctor
from tests.bundles import write_clip, write_frames
from tests.devices import Device
from tests.edge_agent.sources.cameras import MjpegCamera


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Examines one source, with little patience."""
    monkeypatch.setattr(doctor, "FRAME_WAIT_S", 3.0)
    camera = Device(tmp_path).config.cameras[0]

    def examine(source: str, **fields):
        return doctor.check_camera(replace(camera, source=source, **fields))

    return examine


@pytest.mark.parametrize("capture", ["thread", "process"])
def test_a_camera_that_works(tmp_path, look, capture):
    """Its size, and how long the first frame took."""
    found = look(f"file:{write_clip(tmp_path / 'clip.avi')}", capture=capture)
    assert found.level == "ok" and found.why.startswith("96 x 72 after ")


def test_passwords_are_not_printed(look):
    """Of a stream that works and of one that does not."""
    pytest.importorskip("av")
    with MjpegCamera() as camera:
        source = camera.url.replace("//", "//me:secret@")
        works = look(source)
        camera.status = 401
        refused = look(source)
    assert (works.level, refused.level) == ("ok", "fail")
    assert "secret" not in works.why + refused.why and "401" in refused.why


def test_a_camera_that_is_silent(look):
    """It opens and gives nothing: the doctor does not wait for ever."""
    pytest.importorskip("av")
    with MjpegCamera() as camera:
        camera.flow.clear()
        found = look(camera.url)
    assert found.level == "fail" and "gave no frame in 3 s" in found.why


def test_a_hand_over_is_only_looked_at(tmp_path, look):
    """`remove=1` deletes nothing here; an empty folder is not yet a fault."""
    folder = write_frames(tmp_path / "in", 3)
    found = look(f"dir:{folder}?watch=1&remove=1")
    assert found.level == "ok" and len(list(folder.iterdir())) == 3
    (tmp_path / "empty").mkdir()
    assert look(f"dir:{tmp_path / 'empty'}?watch=1").level == "warn"


def test_a_camera_that_is_not_there(look):
    """The reason of its kind, and the next step."""
    for source in ("v4l2:99", "shm:nobody", "file:/nowhere/clip.mp4"):
        found = look(source)
        assert found.level == "fail" and found.next == "correct source of camera top"
