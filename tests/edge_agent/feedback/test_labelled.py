"""Corrected boxes come back from labelling tools, and count as the truth about captured frames."""

from __future__ import annotations

import json

import pytest

from edge_agent.captures.export import FORMATS
from edge_agent.captures.export.dataset import gather
from edge_agent.captures.export.target import write
from edge_agent.errors import UsageError
from edge_agent.feedback.labelled import read, take_labels
from edge_agent.feedback.store import Store
from edge_agent.feedback.take import report
from tests.edge_agent.captures.export.shelves import CLASSES, HEIGHT, WIDTH, some


@pytest.fixture
def captures(tmp_path):
    return some(tmp_path / "captures").captures


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "feedback.sqlite")
    yield made
    made.close()


def exported(captures, folder, kind):
    dataset = gather(captures)
    write(folder, FORMATS[kind].documents(dataset))
    return folder


@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_an_export_that_nobody_corrected_says_that_all_is_right(tmp_path, captures, store, kind):
    """Our own export comes back: each reported box with an area is right, nothing is missed."""
    folder = exported(captures, tmp_path / "set", kind)
    done = take_labels(store, folder, captures)
    assert (done.frames, done.boxes, done.strangers, done.unjudged) == (2, 3, (), 1)
    figures = report(store)
    # One reported box has no width: no tool can give it back, so nothing is there.
    assert (figures.whole.right, figures.whole.wrong, figures.whole.missed) == (3, 1, 0)
    assert (figures.evidence.frames, figures.evidence.labelled) == (2, 2)


@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_corrections_are_found(tmp_path, captures, store, kind):
    """One box gets another class, one is taken away, one is drawn: 1 right, 2 wrong, 2 missed."""
    folder = exported(captures, tmp_path / "set", kind)
    if kind == "yolo":
        path = next(folder.glob("labels/*00000001*.txt"))
        first, _, third = path.read_text().splitlines()
        drawn = f"2 {32 / WIDTH} {8 / HEIGHT} {4 / WIDTH} {4 / HEIGHT}"
        path.write_text("\n".join((first, "1" + third[1:], drawn)) + "\n")
    else:
        path = folder / "annotations/instances_default.json"
        document = json.loads(path.read_text())
        first, _, third = document["annotations"]
        drawn = {"image_id": 1, "category_id": 3, "bbox": [30, 6, 4, 4]}
        document["annotations"] = [first, third | {"category_id": 2}, drawn]
        path.write_text(json.dumps(document))
    take_labels(store, folder, captures)
    figures = report(store)
    found = {one.name: (one.right, one.wrong, one.missed) for one in figures.classes}
    assert found[CLASSES[0]] == (1, 1, 0), "the box without width is wrong"
    assert found[CLASSES[1]] == (1, 0, 0), "the third box was of this class before"
    assert found[CLASSES[3]] == (0, 1, 0) and found[CLASSES[2]] == (0, 0, 1)


def test_names_that_tools_put_before_and_pictures_of_others(tmp_path, captures, store):
    """Label Studio's prefix is no trouble; other people's pictures are counted and left out."""
    folder = exported(captures, tmp_path / "set", "yolo")
    for path in list(folder.glob("labels/*.txt")):
        path.rename(path.with_name(f"3fa2b1c0-{path.name}"))
    (folder / "labels/holiday.txt").write_text("")
    (folder / "labels/cell-9_00000001_top_uncertain.txt").write_text("")
    done = take_labels(store, folder, captures)
    assert done.frames == 2
    assert set(done.strangers) == {"holiday", "cell-9_00000001_top_uncertain"}


def test_class_names_out_of_data_yaml(tmp_path, captures):
    """Where a tool leaves classes.txt out; quotes of both kinds."""
    folder = exported(captures, tmp_path / "set", "yolo")
    (folder / "classes.txt").unlink()
    (first, *_) = (picture for picture in read(folder) if picture.boxes)
    assert [name for name, *_ in first.boxes] == [CLASSES[0], CLASSES[3], CLASSES[1]]


def test_two_pictures_of_one_frame(tmp_path, captures, store):
    """The same boxes count once; other boxes are an error that names both, and keeps nothing."""
    folder = exported(captures, tmp_path / "set", "yolo")
    name = next(path for path in sorted(folder.glob("labels/*.txt")) if path.read_text())
    copy = name.with_name(f"7-{name.name}")
    copy.write_bytes(name.read_bytes())
    done = take_labels(store, folder, captures)
    assert (done.frames, done.repeated) == (2, 1)
    copy.write_text("")
    other = Store(tmp_path / "other.sqlite")
    with pytest.raises(UsageError, match=f"7-{name.stem} and {name.stem} are one frame"):
        take_labels(other, folder, captures)
    assert other.labels() == ({}, 0)
    other.close()


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, "neither labels"),
        ({"labels/a.txt": "0 0.5 0.5 0.1 0.1"}, "has no class names"),
        (
            {"classes.txt": "a", "labels/a.txt": "1 0.5 0.5 0.1 0.1"},
            r"a\.txt:1: class 1 is not one",
        ),
        ({"classes.txt": "a", "labels/a.txt": "\n0 0.5 0.5 0.1"}, r"a\.txt:2: .* should be class"),
        ({"classes.txt": "a", "labels/a.txt": "0 5 0.5 0.1 0.1"}, "shares of the picture"),
        ({"classes.txt": "a", "labels/a.txt": "nan 1 1 1 1"}, "should be class"),
        ({"classes.txt": "a", "labels/a.txt": "x"}, "should be class"),
        ({"annotations/a.json": "{"}, r"a\.json: not JSON"),
        ({"a.json": "[]"}, "should be a table"),
        ({"a.json": '{"images": [], "categories": []}'}, "at least 1"),
    ],
)
def test_what_is_no_data_set(tmp_path, files, match):
    """One line that names file and fault; nothing is half taken."""
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    with pytest.raises(UsageError, match=match):
        read(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        read(tmp_path / "nowhere")


def test_a_text_that_is_none_is_told(tmp_path):
    """A picture among the labels."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("a")
    (tmp_path / "labels/a.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UsageError, match="not a text in UTF-8"):
        read(tmp_path)
