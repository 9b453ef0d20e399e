"""Folders of pictures and drawn ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from builder.images import SYNTHETIC_FRAMES, Folder, Synthetic, load, png, read_picture
from builder.progress import Remembering, Silent
from edge_agent.errors import SourceError, UsageError
from tests.bundles import frame, write_frames


def test_folder_reads_in_order_and_names_what_it_cannot(tmp_path):
    """Below folders too, sorted by path; broken files are left out with a warning."""
    write_frames(tmp_path / "b", 2)
    write_frames(tmp_path / "a", 1)
    (tmp_path / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (tmp_path / "a" / "empty.png").write_bytes(b"")
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 1 1")
    tell = Remembering(Silent())
    pictures = list(Folder(tmp_path).read(tell))
    assert [one.name for one in pictures] == ["a/0000.png", "b/0000.png", "b/0001.png"]
    assert np.array_equal(pictures[2].pixels, frame(1))
    assert "2 of 5 images cannot be read" in tell.warnings[0]
    assert "a/broken.jpg" in tell.warnings[0]


def test_list_of_pictures(tmp_path):
    """What the dataset check keeps is reference data: absolute lines, or relative to the list."""
    write_frames(tmp_path / "set" / "a", 2)
    write_frames(tmp_path / "set" / "b", 2)
    kept = tmp_path / "kept.txt"
    kept.write_text(f"set/b/0001.png\n\n{tmp_path}/set/a/0000.png\nset/b/0001.png\n")
    folder = Folder(kept)
    assert folder.root == tmp_path / "set" and len(folder) == 2
    names = [one.name for one in folder.read(Silent())]
    assert names == ["a/0000.png", "b/0001.png"]
    assert np.array_equal(folder.one(names[1]), frame(1))


@pytest.mark.parametrize("text", ["", "set/none.png", "kept.txt"])
def test_list_that_is_none(tmp_path, text):
    """Nothing on it, or what is not there: one line that says how to make another."""
    (tmp_path / "kept.txt").write_text(text)
    with pytest.raises(UsageError, match="make the list again"):
        Folder(tmp_path / "kept.txt")


def test_no_folder_no_images_no_readable_image(tmp_path):
    """Each has its own sentence."""
    with pytest.raises(UsageError, match="not a folder"):
        Folder(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no images"):
        Folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(SourceError, match="none of its 1 images"):
        list(Folder(tmp_path).read(Silent()))
    with pytest.raises(SourceError, match=r"a\.png: is not a picture"):
        read_picture(tmp_path / "a.png")


def test_synthetic_frames_are_the_same_every_time():
    """Seeded, different from each other, found again by name."""
    first = list(Synthetic().read(Silent()))
    assert len(first) == len(Synthetic()) == SYNTHETIC_FRAMES
    for one in first[:5]:
        assert np.array_equal(Synthetic().one(one.name), one.pixels)
    assert len({one.pixels.tobytes() for one in first}) == SYNTHETIC_FRAMES


def test_png_is_lossless_and_deterministic(tmp_path):
    """The same pixels make the same bytes and come back."""
    picture = frame(3)
    assert png(picture) == png(picture.copy())
    (tmp_path / "x.png").write_bytes(png(picture))
    assert np.array_equal(load(tmp_path / "x.png"), picture)


def test_grey_and_deep_pictures_become_8_bit_bgr(tmp_path):
    """What a labelling tool may leave in the folder is brought to the one format."""
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((5, 6), 7, np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((5, 6, 4), 257 * 7, np.uint16))
    for name in ("grey.png", "deep.png"):
        picture = load(tmp_path / name)
        assert picture.shape == (5, 6, 3) and picture.dtype == np.uint8
        assert (picture == 7).all()
