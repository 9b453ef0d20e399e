"""Each format is read back by a reader that is not ours, wherever there is one."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from edge_agent.captures.export import FORMATS
from edge_agent.captures.export.dataset import gather, picture_paths
from edge_agent.captures.export.makesense import documents as makesense_documents
from edge_agent.captures.export.target import write
from edge_agent.errors import UsageError
from edge_agent.sources.folder import read_picture
from tests.edge_agent.captures.export.shelves import (
    BOXES,
    CLASSES,
    HEIGHT,
    WIDTH,
    fill,
    frame,
    release,
    some,
)
from tests.edge_agent.captures.simulator import record

REPORTED = [(box[:4], int(box[5])) for box in BOXES[:3]]
STEM = "cell-3_00000001_top_uncertain"


@pytest.fixture
def written(tmp_path):
    """Writes one format of the three captures; its folder."""

    def write_one(kind, **options):
        dataset = gather(some(tmp_path / "captures").captures, **options)
        files = [*FORMATS[kind].documents(dataset), *picture_paths(dataset)]
        write(tmp_path / kind, files)
        return tmp_path / kind

    return write_one


def check_pictures(root, names):
    """The three pictures, whole, under these names."""
    assert sorted(path.name for path in (root / "images").iterdir()) == sorted(names)
    for path in (root / "images").iterdir():
        assert read_picture(path).shape == (HEIGHT, WIDTH, 3)


PICTURES = [
    "cell-3_00000001_top_uncertain.jpg",
    "cell-3_00000002_side-2_baseline.jpg",
    "cell-3_00000003_top_check.jpg",
]


def test_yolo_is_what_ultralytics_trains_on(written, monkeypatch):
    """Its own check of data.yaml and of each label; boxes to a hundredth of a pixel."""
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    data = pytest.importorskip("ultralytics.data.utils", reason="ultralytics is not installed")
    root = written("yolo")
    checked = data.check_det_dataset(str(root / "data.yaml"), autodownload=False)
    assert checked["names"] == dict(enumerate(CLASSES))
    assert checked["train"] == checked["val"] == str(root / "images")
    images = sorted(str(path) for path in (root / "images").iterdir())
    found = {}
    for image, label in zip(images, data.img2label_paths(images), strict=True):
        arguments = (image, label, "", False, len(CLASSES), 0, 0, False)
        file, rows, shape, *_, missing, there, empty, corrupt, message = data.verify_image_label(
            arguments
        )
        assert (missing, there, corrupt, message) == (0, 1, 0, ""), message
        assert tuple(shape) == (HEIGHT, WIDTH)
        found[file] = rows
        assert empty == (len(rows) == 0)
    assert [len(found[image]) for image in images] == [3, 0, 0]
    boxes = sorted(corners(*row[1:] * (WIDTH, HEIGHT, WIDTH, HEIGHT)) for row in found[images[0]])
    for ours, expected in zip(boxes, sorted(box for box, _ in REPORTED), strict=True):
        assert ours == pytest.approx(expected, abs=0.01)
    check_pictures(root, PICTURES)


def corners(centre_x, centre_y, width, height):
    return (
        float(centre_x - width / 2),
        float(centre_y - height / 2),
        float(centre_x + width / 2),
        float(centre_y + height / 2),
    )


def test_coco_is_read_by_faster_coco_eval(written):
    """Its index: images, categories by name, boxes in pixels."""
    coco_module = pytest.importorskip("faster_coco_eval", reason="not installed")
    root = written("coco")
    coco = coco_module.COCO(str(root / "annotations" / "instances_default.json"))
    images = coco.loadImgs(coco.getImgIds())
    assert [(image["width"], image["height"]) for image in images] == [(WIDTH, HEIGHT)] * 3
    assert [image["file_name"] for image in images] == PICTURES
    assert images[0]["date_captured"] == "2026-11-24 22:24:02"
    assert [item["name"] for item in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[images[0]["id"]]))
    assert len(annotations) == 3 == len(coco.getAnnIds())
    for annotation, (box, class_id) in zip(annotations, REPORTED, strict=True):
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == pytest.approx(box, abs=1e-3)
        assert annotation["area"] == pytest.approx(width * height)
        assert coco.loadCats([annotation["category_id"]])[0]["name"] == CLASSES[class_id]
    check_pictures(root, PICTURES)


def test_label_studio_tasks_fit_their_interface(written):
    """Each region names a control, an object and a label that labeling.xml declares."""
    root = written("label-studio")
    view = ElementTree.parse(root / "labeling.xml").getroot()
    control, picture = view.find("RectangleLabels"), view.find("Image")
    labels = [label.get("value") for label in control.findall("Label")]
    assert labels == list(CLASSES)
    tasks = json.loads((root / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        f"/data/local-files/?d=images/{name}" for name in PICTURES
    ]
    assert picture.get("value") == "$image"
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == "defects v2" and prediction["score"] == 0.3
    for region, (box, class_id) in zip(prediction["result"], REPORTED, strict=True):
        assert region["from_name"] == control.get("name")
        assert region["to_name"] == control.get("toName") == picture.get("name")
        assert region["type"] == control.tag.lower()
        value = region["value"]
        assert value[region["type"]] == [CLASSES[class_id]]
        x, y = value["x"] / 100 * WIDTH, value["y"] / 100 * HEIGHT
        right, bottom = x + value["width"] / 100 * WIDTH, y + value["height"] / 100 * HEIGHT
        assert (x, y, right, bottom) == pytest.approx(box)
        assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    assert len({region["id"] for region in prediction["result"]}) == 3
    check_pictures(root, PICTURES)


def test_label_studio_s_own_check(written):
    """The SDK's validation of interface and predictions, where it is installed."""
    sdk = pytest.importorskip(
        "label_studio_sdk.label_interface",
        reason="needs label-studio-sdk, 500 MB that the test extra leaves out: pip install it",
    )
    root = written("label-studio")
    interface = sdk.LabelInterface((root / "labeling.xml").read_text())
    interface.validate()
    tasks = json.loads((root / "tasks.json").read_text())
    assert all(interface.validate_prediction(task["predictions"][0]) for task in tasks)


def test_label_studio_may_find_the_pictures_elsewhere(written):
    """On a server or in a bucket."""
    root = written("label-studio", picture_url="https://files.example/set-1/")
    task = json.loads((root / "tasks.json").read_text())[0]
    assert task["data"]["image"] == f"https://files.example/set-1/{PICTURES[0]}"


class MakesenseImporter:
    """What makesense.ai's importer of YOLO files accepts, by its published rules.

    ``labels.txt`` holds a class per line, white space is taken out of the names, and they must
    differ; a file belongs to the picture of its name; a row is five values between single spaces,
    the class first, the others numbers from 0 to 1.
    """

    def __init__(self, folder, pictures):
        lines = (folder / "labels.txt").read_text().splitlines()
        self.names = ["".join(line.split()) for line in lines if line]
        assert len(set(self.names)) == len(self.names)
        self.rows = {}
        for path in folder.iterdir():
            if path.name != "labels.txt":
                assert path.stem in {picture.rpartition(".")[0] for picture in pictures}
                self.rows[path.stem] = [
                    self._row(line) for line in path.read_text().split("\n") if line
                ]

    def _row(self, line):
        values = line.split(" ")
        assert len(values) == 5 and 0 <= int(values[0]) < len(self.names)
        sides = [float(value) for value in values[1:]]
        assert all(0.0 <= side <= 1.0 for side in sides)
        return int(values[0]), corners(*(s * n for s, n in zip(sides, [64, 48] * 2, strict=True)))


def test_makesense_accepts_it(written):
    """Every box of the right class in the right place."""
    root = written("makesense")
    imported = MakesenseImporter(root / "labels", PICTURES)
    assert imported.names == ["scratch", 'dent:_"deep"', "Größe_<1>_&_漢字", "crack_😀"]
    assert {stem: len(rows) for stem, rows in imported.rows.items()} == {
        name.rpartition(".")[0]: 3 * (name == PICTURES[0]) for name in PICTURES
    }
    for (class_id, box), (expected, expected_id) in zip(imported.rows[STEM], REPORTED, strict=True):
        assert class_id == expected_id and box == pytest.approx(expected, abs=0.01)
    check_pictures(root, PICTURES)


def test_makesense_cannot_tell_some_names_apart(tmp_path):
    """White space is all that differs: another format is named."""
    item = record(release=release(classes=("a b", "a_b")))
    dataset = gather(fill(tmp_path, item).captures)
    with pytest.raises(UsageError, match="'a_b'; export as coco"):
        list(makesense_documents(dataset))


class TestGather:
    """One list of classes and boxes inside their pictures."""

    def test_a_lower_confidence_gives_more_boxes(self, tmp_path):
        """Down to the floor, if that is wanted."""
        captures = some(tmp_path).captures
        assert [len(gather(captures, confidence=c).items[0].boxes) for c in (0.0, 0.25, 0.7)] == [
            4,
            3,
            1,
        ]

    def test_a_class_may_have_its_own_threshold(self, tmp_path):
        """Then its boxes are those that the device reported."""
        own = release(thresholds={"scratch": 0.95, CLASSES[2]: 0.1})
        (item,) = gather(fill(tmp_path, record(release=own, detections=BOXES)).captures).items
        assert [box.class_id for box in item.boxes] == [3, 1, 2]

    def test_boxes_are_cut_at_the_picture_s_edge(self, tmp_path):
        """Some readers refuse a value above one."""
        boxes = ((-3.0, -4.0, 70.0, 50.0, 0.9, 0), (70.0, 1.0, 80.0, 9.0, 0.9, 0))
        item = gather(fill(tmp_path, record(release=release(), detections=boxes)).captures).items[0]
        (box,) = item.boxes
        assert (box.x0, box.y0, box.x1, box.y1) == (0.0, 0.0, WIDTH, HEIGHT)

    def test_versions_with_other_classes_go_together(self, tmp_path):
        """The newest version's ids stay; names that only older ones have come after them."""
        old = release(1, ("dent", "rust", "scratch"))
        new = release(2, ("scratch", "dent", "hole"))
        boxes = tuple((1.0, 1.0, 9.0, 9.0, 0.9, n) for n in range(3))
        dataset = gather(
            fill(
                tmp_path,
                record(release=old, detections=boxes),
                record(release=new, detections=boxes, frame=frame(2)),
            ).captures
        )
        assert dataset.classes == ("scratch", "dent", "hole", "rust")
        assert [[box.class_id for box in item.boxes] for item in dataset.items] == [
            [1, 3, 0],
            [0, 1, 2],
        ]

    def test_two_models_have_no_common_classes(self, tmp_path):
        """The message names them and the option."""
        shelf = fill(
            tmp_path, record(release=release()), record(release=release(model="people", version=1))
        )
        with pytest.raises(UsageError, match="choose one by --model: defects, people"):
            gather(shelf.captures)
