"""Scoring pictures on the command line."""

import json

import cv2
import numpy as np
import pytest

from edge_agent.commands import quality
from edge_agent.errors import SourceError, UsageError
from edge_agent.quality import METRICS
from tests.edge_agent.quality.pictures import blurred, darker, scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reference, two worse pictures, and files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "reference.png"), scene())
    cv2.imwrite(str(folder / "blur.png"), blurred(scene()))
    cv2.imwrite(str(folder / "dark.png"), darker(scene()))
    cv2.imwrite(str(folder / "wide.png"), scene((192, 320)))
    cv2.imwrite(str(folder / "small.png"), scene()[:100, :100])
    (folder / "cut.png").write_bytes((folder / "blur.png").read_bytes()[:2000])
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "bomb.png").write_bytes(_png_header(60000, 60000))
    return folder


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be huge and holds nothing."""
    import struct
    import zlib

    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk


def outcome(folder, *names, reference="reference.png", **options) -> str:
    said = []
    paths = [folder / name for name in names]
    quality.run(folder / reference, paths, echo=said.append, **options)
    return said[0]


def test_json_is_what_the_metrics_say(folder):
    """Per file and metric, in the order asked for; pictures are read as the agent does."""
    got = json.loads(outcome(folder, "blur.png", "dark.png", metrics="vif,gmsd", as_json=True))
    assert list(got) == ["blur.png", "dark.png"] and list(got["blur.png"]) == ["vif", "gmsd"]
    expected = METRICS["gmsd"].score(scene(), blurred(scene()))
    assert got["blur.png"]["gmsd"] == pytest.approx(expected, abs=1e-6)


def test_json_has_no_infinity(folder):
    """NQM of the same picture is infinite; JSON has no such number."""
    text = outcome(folder, "reference.png", metrics="nqm,ssim", as_json=True)
    assert json.loads(text) == {"reference.png": {"nqm": None, "ssim": 1.0}}


def test_all_leaves_out_what_needs_larger_pictures(folder):
    """Each metric has a value or, where the picture is too small for it, none."""
    arguments = {"reference": "small.png", "metrics": "all"}
    got = json.loads(outcome(folder, "small.png", as_json=True, **arguments))["small.png"]
    assert list(got) == list(METRICS)
    empty = {name for name, value in got.items() if value is None}
    assert empty == {"ms-ssim", "iw-ssim", "nqm"}
    assert any(
        line.split() == ["ms-ssim", "-", "higher"]
        for line in outcome(folder, "small.png", **arguments).splitlines()
    )


def test_a_named_metric_that_needs_a_larger_picture_is_an_error(folder):
    """With the file, the metric, and how large."""
    with pytest.raises(SourceError, match=r"small\.png: ms-ssim: .*100 x 100.* needs 161 pixels"):
        outcome(folder, "small.png", reference="small.png", metrics="ms-ssim")


def test_tables(folder):
    """A picture a row, with the direction of each score; a metric a row for one picture."""
    many = outcome(folder, "blur.png", "dark.png", metrics="ssim,gmsd").splitlines()
    assert many[0].split() == ["picture", "ssim", "gmsd"]
    assert many[2].split() == ["blur.png", "0.7614", "0.1542"]
    assert many[-1] == "ssim: higher is better; gmsd: lower is better"
    one = outcome(folder, "blur.png", metrics="ssim,gmsd").splitlines()
    assert one[-1].split() == ["gmsd", "0.1542", "lower"]


def test_the_same_name_twice(folder, tmp_path):
    """Both are shown, with their folders."""
    cv2.imwrite(str(tmp_path / "blur.png"), scene())
    said = []
    paths = [folder / "blur.png", tmp_path / "blur.png"]
    quality.run(folder / "reference.png", paths, metrics="ssim", as_json=True, echo=said.append)
    assert list(json.loads(said[0])) == [str(path) for path in paths]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.png", "no such file"),
        ("cut.png", "is it complete"),
        ("text.png", "cannot be read as a picture"),
        ("empty.png", "cannot be read as a picture"),
        ("bomb.png", "cannot be read as a picture"),
        (".", "is a folder"),
        ("wide.png", "is 320 x 192, the reference"),
    ],
)
def test_pictures_that_are_none(folder, name, words):
    """One sentence that begins with the file; as the reference too."""
    with pytest.raises(SourceError, match=words) as caught:
        outcome(folder, "blur.png", name, metrics="ssim")
    assert str(caught.value).startswith(str(folder / name))
    if name != "wide.png":
        with pytest.raises(SourceError, match=words):
            outcome(folder, "blur.png", reference=name, metrics="ssim")


def test_a_picture_without_permission(permissions_bind, folder, tmp_path):
    """Said as such."""
    path = tmp_path / "mine.png"
    cv2.imwrite(str(path), np.zeros((40, 40, 3), np.uint8))
    path.chmod(0)
    with pytest.raises(SourceError, match="permission denied"):
        quality.run(folder / "reference.png", [path], metrics="ssim")


def test_a_metric_that_is_none(folder):
    """Before any picture is read."""
    with pytest.raises(UsageError, match='"psnr" is not a metric'):
        outcome(folder, "none.png", metrics="ssim,psnr")
