"""Privacy masks: nothing under them is in any file, or a reason for one."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.captures.masks import Mask, blacken, visible
from edge_agent.captures.writer import Encoding
from edge_agent.sources.folder import read_picture
from tests.edge_agent.captures.simulator import rows

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
TRIANGLE = ((0.5, 0.25), (0.9, 0.75), (0.1, 0.75))


def test_a_rectangle_hides_its_share_at_every_size():
    """The mask is where it was when a camera changes its resolution."""
    mask = Mask([LEFT_HALF])
    for height, width in ((48, 64), (1080, 1920), (1, 2), (720, 1280)):
        hidden = mask.of(height, width)
        assert hidden.shape == (height, width)
        assert hidden[:, : width // 2].all()
        assert not hidden[:, width // 2 + 3 :].any()


def test_every_pixel_that_a_polygon_touches_is_hidden():
    """Measured against the exact triangle, by the side of its edges that a point lies on."""
    height, width = 120, 160
    hidden = Mask([TRIANGLE]).of(height, width)
    corners = np.array(TRIANGLE) * (width, height)
    y, x = np.mgrid[0:height, 0:width]
    inside = np.ones((height, width), bool)
    outside_by_2 = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = np.hypot(x1 - x0, y1 - y0)
        # pixel (x, y) covers x..x+1: its nearest corner counts, not its centre
        nearest = np.max(
            [
                ((x1 - x0) * (y + dy - y0) - (y1 - y0) * (x + dx - x0)) / length
                for dx in (0, 1)
                for dy in (0, 1)
            ],
            axis=0,
        )
        inside &= nearest > 0
        outside_by_2 |= nearest < -3
    assert inside.sum() > 1000
    assert hidden[inside].all()
    assert not hidden[outside_by_2].any()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_file_knows_nothing_of_what_was_hidden(suffix, tmp_path):
    """Two pictures that differ only under the mask make the same bytes."""
    noise = np.random.default_rng(1)
    first = noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    second = first.copy()
    hidden = Mask([LEFT_HALF]).of(48, 64)
    second[hidden] = noise.integers(0, 256, (int(hidden.sum()), 3), dtype=np.uint8)
    files = [Encoding(suffix, 92).encode(blacken(image, hidden)) for image in (first, second)]
    assert files[0] == files[1]
    path = tmp_path / f"picture.{suffix}"
    path.write_bytes(files[0])
    shown = read_picture(path)
    assert shown[:, :24].max() <= 8 and shown[:, 40:].std() > 30
    assert first[hidden].any(), "the frame itself is left alone"


def test_boxes_whose_centre_is_hidden_are_left_out():
    """The others stay in their order; a centre beyond the edge counts as on it."""
    hidden = Mask([LEFT_HALF]).of(48, 64)
    found = np.concatenate(
        [
            rows(0.9, box=(0, 0, 10, 10)),
            rows(0.8, box=(40, 0, 64, 48)),
            rows(0.7, box=(20, 0, 62, 48)),
            rows(0.6, box=(64, 48, 64, 48)),
            rows(0.5, box=(0, 0, 0, 0)),
        ]
    )
    assert visible(found, hidden)[:, 4].tolist() == pytest.approx([0.8, 0.7, 0.6])


def jpeg_markers(data):
    """The markers of a JPEG file up to its pixels (ITU T.81, annex B)."""
    at, found = 2, []
    while data[at] == 0xFF:
        found.append(data[at + 1])
        if found[-1] == 0xDA:
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def png_chunks(data):
    """The names of a PNG file's chunks."""
    at, found = 8, []
    while at < len(data):
        found.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


def test_files_hold_pixels_and_nothing_else():
    """No EXIF, no thumbnail, no comment; PNG gives back every pixel."""
    image = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    jpeg, png = (Encoding(suffix, 90).encode(image) for suffix in ("jpg", "png"))
    markers = jpeg_markers(jpeg)
    assert markers[-1] == 0xDA and set(markers) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA, 0xDD}
    assert b"Exif" not in jpeg and jpeg.count(b"\xff\xd8\xff") == 1
    assert set(png_chunks(png)) <= {b"IHDR", b"IDAT", b"IEND"}


def test_quality_and_lossless(tmp_path):
    """A lower quality makes a smaller file; PNG is exact."""
    image = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert len(Encoding("jpg", 40).encode(image)) < len(Encoding("jpg", 95).encode(image))
    (tmp_path / "a.png").write_bytes(Encoding("png", 1).encode(image))
    assert np.array_equal(read_picture(tmp_path / "a.png"), image)
