"""`edge-agent captures`, as a person calls it."""

from __future__ import annotations

import json
import os
import re
import zipfile

import pytest

from edge_agent.cli import main
from edge_agent.commands.captures import moment
from edge_agent.console import TABLE_COLUMNS
from edge_agent.errors import UsageError
from tests.devices import Device
from tests.edge_agent.captures.export.shelves import fill, frame, release, some
from tests.edge_agent.captures.simulator import record


@pytest.fixture
def device(tmp_path):
    """A device that has kept three frames."""
    made = Device(tmp_path)
    some(made.config.captures)
    return made


def outcome(arguments, capsys):
    code = main(["captures", *[str(argument) for argument in arguments]])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_is_a_table_that_fits(device, capsys):
    """One line each, within 100 columns, whatever the names and the reasons are."""
    long = record(
        frame=frame(4, camera="c" * 64),
        release=release(model="m" * 60),
        text="a very long sentence " * 20,
    )
    fill(device.config.captures, long)
    code, out, err = outcome(["list", "-c", device.config_path], capsys)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 2 + 4 + 1)
    assert max(map(len, lines[:-1])) <= TABLE_COLUMNS  # the last one is a sentence with a path
    assert re.match(r" +1  2026-11-2\d \d\d:\d\d:02  top +uncertain +defects v2 +4  lens", lines[2])
    assert re.match(r" +3 .* check +defects v2 +-  lens blurred", lines[4])
    assert "…" in lines[5] and lines[6].startswith("4 captures, 0.0 MB in ")


def test_list_of_nothing_is_no_error(device, capsys):
    """A camera that kept nothing."""
    code, out, _ = outcome(["list", "-c", device.config_path, "--camera", "attic"], capsys)
    assert code == 0 and out.splitlines()[-1].startswith("0 captures")


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], [1, 2, 3]),
        (["--reason", "check"], [3]),
        (["--camera", "side-2"], [2]),
        (["--since", "2w", "--until", "1s"], None),
        (["--since", "9999-12-31"], []),
        (["--until", "2000-01-01T12:00"], []),
    ],
)
def test_list_as_json_is_everything_that_is_known(device, capsys, options, numbers):
    """The sidecars, with number and path."""
    code, out, _ = outcome(["list", "-c", device.config_path, "--json", *options], capsys)
    documents = json.loads(out)
    assert code == 0
    if numbers is not None:
        assert [document["number"] for document in documents] == numbers
    for document in documents:
        assert os.path.getsize(document["path"]) == document["picture"]["bytes"]
        assert {"frame", "release", "reason", "evidence", "detections", "gate"} <= set(document)


@pytest.mark.parametrize("kind", ["yolo", "coco", "label-studio", "makesense"])
def test_export_says_what_it_wrote_and_what_to_do(device, tmp_path, capsys, kind):
    """Pictures, boxes, and a text for the person who imports it."""
    target = tmp_path / "out"
    code, out, err = outcome(
        ["export", "-c", device.config_path, "--format", kind, "-o", target], capsys
    )
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote 3 pictures (3 of the model's boxes) to {target} as {kind}")
    assert (target / "README.txt").read_text().strip()
    assert len(list((target / "images").iterdir())) == 3


def test_export_of_a_copied_folder_into_a_zip(device, tmp_path, capsys):
    """No agent.toml is needed on the laptop."""
    target = tmp_path / "set.zip"
    options = ["--reason", "uncertain", "--confidence", "0.1"]
    code, out, _ = outcome(
        ["export", "--dir", device.config.captures, *options, "--format", "coco", "-o", target],
        capsys,
    )
    assert code == 0 and "1 picture (4 of the model's boxes)" in out
    with zipfile.ZipFile(target) as archive:
        assert "images/cell-3_00000001_top_uncertain.jpg" in archive.namelist()


def test_a_damaged_capture_is_left_out_and_named(device, tmp_path, capsys):
    """On stderr; the others are exported."""
    picture = device.config.captures / "00000001_top_uncertain.jpg"
    picture.write_bytes(picture.read_bytes()[:100])
    code, out, err = outcome(
        ["export", "-c", device.config_path, "--format", "yolo", "-o", tmp_path / "out"], capsys
    )
    assert code == 0 and "wrote 2 pictures" in out
    assert err.startswith("left out: ") and str(picture) in err and "has 100 bytes" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "-c", "nowhere.toml"], 3, "edge-agent init -o nowhere.toml"),
        (["list", "--dir", "nowhere"], 8, "nowhere: no such folder"),
        (["list", "--dir", ".", "--reason", "chek"], 2, 'did you mean "check"?'),
        (["list", "--dir", ".", "--since", "yesterday"], 2, '"yesterday" is no time; give an age'),
        (["export", "--dir", ".", "--format", "voc", "-o", "x"], 2, "'voc' is not one of"),
        (["export", "--dir", ".", "--format", "yolo", "-o", "x"], 2, "nothing to export"),
        (
            ["export", "--dir", ".", "--format", "yolo", "-o", "x", "--confidence", "7"],
            2,
            "confidence 7 should be between 0 and 1",
        ),
        (
            ["export", "--dir", ".", "--format", "yolo", "-o", "x", "--picture-url", "y"],
            2,
            "--picture-url is for label-studio",
        ),
        (["remove", "--dir", "."], 2, "say which: numbers"),
        (["remove", "--dir", ".", "7", "8"], 2, "there is no capture 7, 8"),
    ],
)
def test_each_trouble_is_one_line_with_its_code(
    arguments, code, words, tmp_path, capsys, monkeypatch
):
    """No traceback, the next step, the documented exit code."""
    monkeypatch.chdir(tmp_path)
    got, out, err = outcome(arguments, capsys)
    assert (got, out) == (code, "") and words in err and len(err.strip().splitlines()) == 1, err
    assert os.listdir(tmp_path) == []


def left(device):
    return sorted({int(path.name[:8]) for path in device.config.captures.iterdir()})


@pytest.mark.parametrize(
    ("arguments", "stay"),
    [
        (["1", "3"], [2]),
        (["--reason", "check"], [1, 2]),
        (["--camera", "top", "--until", "2000-01-01"], [1, 2, 3]),
        (["--all"], []),
    ],
)
def test_remove_what_was_named(device, capsys, arguments, stay):
    """And nothing else; it says how many."""
    code, out, _ = outcome(["remove", "-c", device.config_path, *arguments], capsys)
    assert code == 0 and left(device) == stay
    count = 3 - len(stay)
    assert out.startswith(f"removed {count} capture{'' if count == 1 else 's'} from ")


def test_remove_takes_all_or_none_of_the_numbers(device, capsys):
    """A typing error costs nothing."""
    code, _, err = outcome(["remove", "-c", device.config_path, "1", "9"], capsys)
    assert code == 2 and "no capture 9" in err and "nothing was removed" in err
    assert left(device) == [1, 2, 3]


def test_a_damaged_capture_can_be_removed(device, capsys):
    """By its number, or with all the others; a reason cannot be read from it."""
    folder = device.config.captures
    (folder / "00000003_top_check.json").write_text("{")
    code, out, err = outcome(["remove", "-c", device.config_path, "--reason", "check"], capsys)
    assert (code, left(device)) == (0, [1, 2, 3]) and "left out" in err and "removed 0" in out
    code, out, err = outcome(["remove", "-c", device.config_path, "3"], capsys)
    assert (code, left(device), err) == (0, [1, 2], "") and "removed 1 capture" in out


@pytest.mark.parametrize(
    ("path", "arguments"), [(".", ["remove", "--all"]), ("00000001_top_uncertain.json", ["list"])]
)
def test_what_is_somebody_else_s(permissions_bind, device, capsys, path, arguments):
    """Permission is a clear line of its own, not a damaged capture."""
    place = device.config.captures / path
    place.chmod(0o500 if place.is_dir() else 0)
    try:
        command, *rest = arguments
        code, _, err = outcome([command, "-c", device.config_path, *rest], capsys)
        assert code == 8 and "permission denied" in err and len(err.splitlines()) == 1
    finally:
        place.chmod(0o700)


@pytest.mark.parametrize(
    ("text", "ago"), [("90m", 5400), ("2h", 7200), ("1.5d", 129_600), ("1w", 604_800), ("5s", 5)]
)
def test_ages(text, ago):
    """Before now."""
    assert moment(text, 1e9) == 1e9 - ago


@pytest.mark.parametrize("text", ["", "h", "-2h", "2 h", "1e9h", "2026-13-01", "nan"])
def test_what_is_no_time(text):
    """The message shows what would be one."""
    with pytest.raises(UsageError, match="is no time"):
        moment(text, 1e9)
