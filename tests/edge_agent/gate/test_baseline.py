"""The baseline's files: what is written is what is read, and nothing half."""

import json
import shutil

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError, StorageError
from edge_agent.gate import Baseline
from edge_agent.gate.baseline import FILE
from tests.edge_agent.gate.scene import baseline, reference


@pytest.fixture
def folder(tmp_path):
    baseline(reference(), reference("night", light=0.5)).write(tmp_path / "baseline" / "top")
    return tmp_path / "baseline" / "top"


def test_round_trip(folder):
    """Every field of both references, pictures and cells included."""
    read = Baseline.read(folder)
    assert (read.camera, read.size, read.width, read.fps) == ("top", (160, 120), 160, 10.0)
    for wrote, found in zip(
        (reference(), reference("night", light=0.5)), read.references, strict=True
    ):
        assert (found.name, found.taken, found.source) == (wrote.name, wrote.taken, wrote.source)
        ours, theirs = wrote.learnt, found.learnt
        assert np.array_equal(theirs.still.gray, ours.still.gray)
        assert np.array_equal(theirs.still.mask, ours.still.mask)
        assert theirs.ranges == ours.ranges and theirs.times == ours.times
        assert theirs.still.aligned == ours.still.aligned and theirs.frames == ours.frames
        assert np.allclose(theirs.cells.usual, ours.cells.usual, atol=1e-4)
        assert found.independent_s == pytest.approx(ours.independent_frames / 10.0)


def test_none_is_none(tmp_path):
    """A camera that was never calibrated."""
    assert Baseline.read(tmp_path) is None


def test_a_reference_is_renewed_and_old_pictures_go(folder):
    """Under its name, beside the others; nothing that is not ours is removed."""
    (folder / "day-sheet.png").write_bytes(b"a sheet")
    read = Baseline.read(folder)
    read.with_reference(reference("day", seed=1)).write(folder)
    renewed = Baseline.read(folder)
    assert [one.name for one in renewed.references] == ["night", "day"]
    assert not np.array_equal(
        renewed.references[1].learnt.still.gray, read.references[0].learnt.still.gray
    )
    pictures = [path.name for path in folder.glob("*-picture-*.png")]
    assert len(pictures) == 2 and (folder / "day-sheet.png").exists()


def changed(folder, change):
    path = folder / FILE
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


FAULTS = {
    "schema_version": (lambda d: d.update(schema_version=2), "only 1 is known"),
    "camera": (lambda d: d.update(camera="Top 1"), "camera"),
    "unknown": (lambda d: d.update(extra=1), "extra: is not a known key"),
    "no reference": (lambda d: d.update(references=[]), "at least 1"),
    "twice": (lambda d: d["references"].append(d["references"][0]), "there twice"),
    "measure": (lambda d: d["references"][0]["ranges"].update(blur={"usual": 1}), "not a measure"),
    "no ssim": (lambda d: d["references"][0]["ranges"].pop("ssim"), "ssim: is missing"),
    "limits": (
        lambda d: d["references"][0]["ranges"]["ssim"].update(low=0.999999), "below what is usual",
    ),
    "infinite": (lambda d: d["references"][0]["ranges"]["level"].update(high=1e999), "finite"),
    "cells": (lambda d: d["references"][0]["cells"].update(rows=3), "not as many"),
    "few cells": (lambda d: d["references"][0]["cells"]["low"].pop(), "not as many"),
    "digest": (lambda d: d["references"][0]["mask"].update(sha256="0" * 64), "not what was"),
    "elsewhere": (lambda d: d["references"][0]["mask"].update(file="../../x.png"), "the form"),
    "missing": (lambda d: d["references"][0]["picture"].update(file="gone.png"), "cannot be read"),
    "name": (lambda d: d["references"][0].update(name="Day 1"), "name"),
    "frame": (lambda d: d.update(frame={"width": 0, "height": 5}), "frame.width"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(folder, fault):
    """One line with the file, the place and the next step."""
    change, message = FAULTS[fault]
    changed(folder, change)
    with pytest.raises(SourceError) as caught:
        Baseline.read(folder)
    text = str(caught.value)
    assert message in text and str(folder / FILE) in text and "calibrate" in text
    assert "\n" not in text


def test_all_faults_come_at_once(folder):
    """Three faults, one failure."""
    changed(folder, lambda d: d.update(camera="A B", extra=1, schema_version=9))
    with pytest.raises(SourceError) as caught:
        Baseline.read(folder)
    assert all(word in str(caught.value) for word in ("camera", "extra", "schema_version"))


def test_a_truncated_file_is_refused(folder):
    """At every hundredth byte: never half a baseline, never anything but our error."""
    whole = (folder / FILE).read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (folder / FILE).write_bytes(whole[:length])
        with pytest.raises(SourceError, match="not JSON"):
            Baseline.read(folder)


@pytest.mark.parametrize("data", [b"", b"not a picture", None])
def test_a_damaged_picture_is_refused(folder, data):
    """Empty, something else, or a picture in colour under the right digest."""
    import hashlib

    if data is None:
        data = cv2.imencode(".png", np.zeros((90, 160, 3), np.uint8))[1].tobytes()

    def point(document):
        document["references"][0]["mask"] = {
            "file": "bad.png", "sha256": hashlib.sha256(data).hexdigest(),
        }  # fmt: skip

    (folder / "bad.png").write_bytes(data)
    changed(folder, point)
    with pytest.raises(SourceError, match="mask"):
        Baseline.read(folder)


def test_a_mask_of_another_size_or_of_nothing(folder):
    """It would leave nothing to compare."""
    import hashlib

    for mask in (np.zeros((90, 160), np.uint8), np.full((45, 80), 255, np.uint8)):
        data = cv2.imencode(".png", mask)[1].tobytes()
        (folder / "other.png").write_bytes(data)
        entry = {"file": "other.png", "sha256": hashlib.sha256(data).hexdigest()}
        changed(folder, lambda d, entry=entry: d["references"][0].update(mask=entry))
        with pytest.raises(SourceError, match="mask"):
            Baseline.read(folder)


def test_a_cut_between_its_files_leaves_the_old_one(folder, tmp_path):
    """Pictures of the new one lie there already, the old file still names its own."""
    before = Baseline.read(folder)
    other = tmp_path / "other"
    before.with_reference(reference("day", seed=1)).write(other)
    for path in other.glob("*.png"):
        shutil.copy(path, folder)
    again = Baseline.read(folder)
    assert np.array_equal(
        again.references[0].learnt.still.gray, before.references[0].learnt.still.gray
    )


def test_a_folder_that_cannot_be_written(permissions_bind, tmp_path):
    """One clear error."""
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError):
        baseline().write(tmp_path / "top")


def test_a_file_in_the_way(tmp_path):
    """The folder's name is a file."""
    (tmp_path / "baseline").write_text("")
    with pytest.raises(StorageError, match="a file, not a folder"):
        baseline().write(tmp_path / "baseline" / "top")
