"""The dataset check on generated folders, damaged, doubled and small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from builder.build import build
from builder.cli import main
from builder.dataset import Policy, check_dataset
from builder.dataset.cross_check import cross_check
from builder.options import BuildOptions
from edge_agent.errors import OutpostError, SourceError, UsageError
from tests.bundles import background, dirty, frame


@pytest.fixture
def folder(tmp_path):
    """30 pictures of the line, of which two through a dirty lens, and the reference beside."""
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    for number in range(30):
        picture = frame(number)
        picture = dirty(picture) if number in (4, 17) else picture
        place = images / "deep" if number % 2 else images
        cv2.imwrite(str(place / f"{number:04d}.png"), picture)
    cv2.imwrite(str(tmp_path / "reference.png"), background())
    return images


def check(folder, **options):
    """The check of a folder against the reference beside it."""
    return check_dataset(folder, folder.parent / "reference.png", **options)


def test_scores_are_those_of_scikit_image(folder):
    """The published recipe's number, for every image, to eight digits."""
    report = check(folder)
    reference = cv2.cvtColor(background(), cv2.COLOR_BGR2GRAY)
    assert len(report.scores) == 30
    for name, score in report.scores.items():
        gray = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2GRAY)
        wanted = structural_similarity(reference, gray, data_range=255)
        assert score == pytest.approx(wanted, abs=1e-7)


def test_cross_check_by_command(folder, capsys, tmp_path):
    """The command scores some of the images by scikit-image and says how far that was off."""
    reference = str(folder.parent / "reference.png")
    command = ["dataset", "check", str(folder), "--reference", reference, "-o", str(tmp_path / "o")]
    assert main([*command, "--cross-check", "7"]) == 0
    assert "the same scores for 7 images" in capsys.readouterr().err


def test_cross_check_finds_a_wrong_score(folder):
    """It is not a formality."""
    report = check(folder)
    name = next(iter(report.scores))
    wrong = {**report.scores, name: report.scores[name] + 1e-4}
    assert cross_check(folder, folder.parent / "reference.png", report.scores, 30) < 1e-6
    with pytest.raises(OutpostError, match=r"differs by 1\.0e-04"):
        cross_check(folder, folder.parent / "reference.png", wrong, 30)


def test_dirty_lens_is_left_out(folder, tmp_path):
    """Files are written, the worst are the two that are dirty, and the folder is as it was."""
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    report = check(folder, policy=Policy("k-sigma", k=2.0), output=tmp_path / "out")
    assert report.dropped == ("0004.png", "deep/0017.png")
    kept = (tmp_path / "out" / "kept.txt").read_text().splitlines()
    assert kept == [str(folder / name) for name in report.kept] and len(kept) == 28
    assert all(Path(path).is_file() for path in kept)
    rows = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert len(rows) == 31 and rows[0] == "image,ssim,kept,fault"
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["ssim"]["mean"] == report.spread.mean and document["kept"] == 28
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before


def test_kept_images_build_a_bundle(folder, squares, tmp_path):
    """The list is reference data for a build: the dirty ones are in neither profile nor golden."""
    check(folder, policy=Policy("k-sigma", k=2.0), output=tmp_path / "out")
    options = BuildOptions(reference_data=tmp_path / "out" / "kept.txt", prove="never")
    built = build(str(squares), tmp_path / "bundle", options)
    assert built.bundle.manifest.source["reference_data"]["images"] == 28
    assert not {"0004.png", "deep/0017.png"} & {one.name for one in built.golden}


def test_pictures_show_the_distribution(folder, tmp_path):
    """The histogram has bars on both sides of the threshold; the sheet begins with the worst."""
    check(folder, policy=Policy("k-sigma", k=2.0), output=tmp_path / "out")
    chart = cv2.imread(str(tmp_path / "out" / "histogram.png")).reshape(-1, 3)
    for colour in ((150, 110, 60), (60, 80, 215), (40, 150, 60)):
        assert np.count_nonzero((chart == colour).all(1)) > 100
    sheet = cv2.imread(str(tmp_path / "out" / "worst.png"))
    cells = [sheet[10:140, x + 20 : x + 200].std() for x in (0, 220, 440, 660)]
    assert max(cells[1:3]) < 0.7 * min(cells[0], cells[3])  # a dirty lens has no contrast


@pytest.mark.parametrize("workers", [1, 3])
def test_order_does_not_depend_on_threads(folder, workers):
    """The same report every time."""
    assert check(folder, workers=workers).document() == check(folder).document()


def test_damaged_files_are_found(folder):
    """Half a JPEG, half a PNG, nothing, a pointer, a text: each with its reason, none is kept."""
    jpeg = cv2.imencode(".jpg", frame(1))[1].tobytes()
    png = (folder / "0000.png").read_bytes()
    wrong = {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "a JPEG without its end"),
        "cut.png": (png[: len(png) // 2], "a PNG without its end"),
        "empty.jpg": (b"", "is empty"),
        "zeros.png": (b"\0" * 5000, "begins with zeros"),
        "lfs.png": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "text.bmp": (b"hello, this is no picture", "cannot be decoded"),
        "short.webp": (b"RIFF\xff\xff\0\0WEBPVP8 ", "of 65543 bytes"),
    }
    for name, (data, _) in wrong.items():
        (folder / name).write_bytes(data)
    report = check(folder)
    assert set(report.damaged) == set(wrong)
    for name, (_, reason) in wrong.items():
        assert reason in report.damaged[name]
    assert not set(report.kept) & set(wrong)
    assert any("7 images cannot be used: cut.jpg" in text for text in report.warnings)


def test_end_of_a_jpeg_with_notes_behind_it(folder):
    """What cameras append behind the end is no damage."""
    jpeg = cv2.imencode(".jpg", frame(1))[1].tobytes()
    (folder / "notes.jpg").write_bytes(jpeg + b"MakerNote" * 100)
    assert check(folder).damaged == {}


def test_copies_are_found(folder):
    """Same bytes or same pixels are copies, of which one is kept; noise alone makes them near."""
    shutil.copy(folder / "0000.png", folder / "z-copy.png")
    picture = cv2.imread(str(folder / "0000.png"))
    cv2.imwrite(str(folder / "z-other.bmp"), picture)
    noisy = picture.astype(int) + np.random.default_rng(0).integers(-2, 3, picture.shape)
    cv2.imwrite(str(folder / "z-near.png"), np.clip(noisy, 0, 255).astype(np.uint8))
    report = check(folder, policy=Policy("k-sigma", k=9.0))
    assert report.copies == [["0000.png", "z-copy.png", "z-other.bmp"]]
    assert {"0000.png", "z-near.png"} <= set(next(g for g in report.near if "0000.png" in g))
    assert "0000.png" in report.kept and "z-near.png" in report.kept
    assert not {"z-copy.png", "z-other.bmp"} & set(report.kept)
    everything = check(folder, policy=Policy("k-sigma", k=9.0), keep_copies=True)
    assert {"z-copy.png", "z-other.bmp"} <= set(everything.kept)


def test_different_parts_are_not_near(folder):
    """Pictures that show another part are another scene, whatever they share."""
    report = check(folder)
    moved = [group for group in report.near if any(name.startswith("deep") for name in group)]
    for group in moved:
        pictures = [cv2.imread(str(folder / name), 0).astype(int) for name in group]
        assert all(np.abs(one - pictures[0]).max() < 40 for one in pictures)


def test_three_images(folder):
    """They are checked, with a word on what their mean is worth."""
    for path in list(folder.rglob("*.png"))[3:]:
        path.unlink()
    report = check(folder)
    assert any("only 3 images" in text for text in report.warnings)


def test_other_sizes_are_compared_and_named(folder):
    """An image of another size is resized to the reference's."""
    cv2.imwrite(str(folder / "large.png"), cv2.resize(frame(3), (192, 144)))
    report = check(folder)
    assert report.scores["large.png"] > 0.5
    assert any("1 images are not of the reference's size" in text for text in report.warnings)


def test_refusals(folder, tmp_path):
    """No folder, no images, only damage, a bad reference, an output inside the dataset."""
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no images in it"):
        check(tmp_path / "none")
    with pytest.raises(UsageError, match="not a folder"):
        check(tmp_path / "nowhere")
    (tmp_path / "none" / "a.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"none of its 1 images.*a\.png, is empty"):
        check(tmp_path / "none")
    with pytest.raises(SourceError, match=r"no\.png: cannot be read \(No such file"):
        check_dataset(folder, tmp_path / "no.png")
    with pytest.raises(SourceError, match=r"a\.png: is empty; give a PNG"):
        check_dataset(folder, tmp_path / "none" / "a.png")
    with pytest.raises(UsageError, match="outside the dataset"):
        check(folder, output=folder / "out")
    assert not (folder / "out").exists()
    with pytest.raises(UsageError, match=r"reference\.png: is not a folder"):
        check(folder, output=tmp_path / "reference.png")


class Interrupting:
    """A person who presses Ctrl-C at the tenth image."""

    def say(self, text):
        """Nothing."""

    warn = say

    def track(self, items, what, total):
        """Ten of them."""
        for number, item in enumerate(items):
            if number == 10:
                raise KeyboardInterrupt
            yield item


def test_interrupted_check_writes_nothing(folder, tmp_path):
    """Ctrl-C leaves neither a list nor a folder."""
    with pytest.raises(KeyboardInterrupt):
        check(folder, output=tmp_path / "out", progress=Interrupting())
    assert not (tmp_path / "out").exists()


def test_command(folder, tmp_path, monkeypatch, capsys):
    """Text for a person, one object for a script, warnings on stderr."""
    monkeypatch.chdir(tmp_path)
    (folder / "empty.png").write_bytes(b"")
    call = ["dataset", "check", str(folder), "--reference", str(tmp_path / "reference.png")]
    assert main(call) == 0
    output = capsys.readouterr()
    assert "kept " in output.out and "1 damaged" in output.out
    assert "warning: " in output.err and "empty.png is empty" in output.err
    assert (tmp_path / "dataset-check" / "kept.txt").exists()
    assert main([*call, "--policy", "quantile", "--share", "0.1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["policy"]["kind"] == "quantile" and document["images"] == 31
    assert main([*call, "--share", "2"]) == 2
    assert "--share 2" in capsys.readouterr().err
