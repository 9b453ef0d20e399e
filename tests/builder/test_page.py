"""The page of a bundle: whole, self-contained, and deaf to what a bundle would like it to do."""

from __future__ import annotations

import base64
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np

from builder.cli import main
from builder.inspect import describe
from builder.page import render_page
from builder.page.charts import profile_charts
from edge_agent.bundle import Bundle
from edge_agent.checked import canonical_json
from edge_agent.monitors.histogram import Histograms
from edge_agent.monitors.profile import Profile

VOID = {"meta", "img", "i", "rect", "line", "br"}


class Outline(HTMLParser):
    """Tags that are open, every tag and attribute that was seen, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def changed(bundle: Bundle, folder, **fields) -> Bundle:
    """A copy whose manifest says something else."""
    shutil.copytree(bundle.root, folder)
    document = {**bundle.manifest.document, **fields}
    (folder / "manifest.json").write_bytes(canonical_json(document))
    return Bundle.open(folder)


def test_page_shows_what_a_person_asks(bundle, tmp_path, capsys):
    """Every golden frame as a picture with its boxes, classes, proof, origin, profile, files."""
    page = tmp_path / "page.html"
    assert main(["inspect", str(bundle.root), "--html", str(page)]) == 0
    assert bundle.manifest.digest in capsys.readouterr().out
    outline = Outline(page.read_text())
    assert outline.open == []
    for text in ("squares 1", "not compared with PyTorch", bundle.manifest.digest, "64 x 64",
                 "0 red", "fp32", "24 images of", "model/fp32.onnx", "score of a detection",
                 "parameters (1)", "reference data (3)"):  # fmt: skip
        assert text in outline.text, text
    pictures = [attributes["src"] for tag, attributes in outline.tags if tag == "img"]
    assert len(pictures) == bundle.manifest.golden.frames
    drawn = [cv2.imdecode(np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8), 1)
             for url in pictures]  # fmt: skip
    assert all(max(picture.shape) == 320 for picture in drawn)
    assert page.read_text() == render_page(bundle)


def test_page_loads_and_runs_nothing(bundle):
    """No script, no link, no address outside; a policy forbids them on top."""
    page = render_page(bundle)
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in outline.tags}
    assert not re.search(r"https?://|url\(|@import", page)
    assert any("default-src 'none'" in str(a.get("content")) for _, a in outline.tags)


def test_names_from_a_bundle_are_only_text(bundle, tmp_path):
    """A class, a model or a parameter named like markup shows as what it is."""
    evil = "<script>alert(1)</script>"
    classes = [evil, '"><img src=x onerror=alert(1)>', "blue"]
    source = {**bundle.manifest.source, "run_parameters": {evil: evil, "site": "x"}, "uri": evil}
    odd = changed(bundle, tmp_path / "odd", classes=classes, license=evil, source=source)
    outline = Outline(render_page(odd))
    assert outline.open == [] and evil in outline.text
    assert "run parameters (2)" in outline.text
    assert all(tag != "script" and "onerror" not in a for tag, a in outline.tags)


def test_bars_of_hundreds_of_classes():
    """Each class has a bar of some width, with its count to read."""
    histograms = Histograms(900)
    histograms.add("class", np.arange(900))
    charts = profile_charts(Profile(histograms, "val"), [f"class {n}" for n in range(900)])
    bars = [a for tag, a in Outline(charts).tags if tag == "rect"]
    assert len(bars) == 900 and all(float(one["width"]) > 0 for one in bars)
    assert "class 899: 1" in charts


def test_damaged_bundles_have_no_page(bundle, tmp_path, capsys):
    """The hashes are checked before anything of it is shown."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle.root, copy)
    (copy / "golden" / "0000.png").write_bytes(b"x")
    assert main(["inspect", str(copy), "--html", str(tmp_path / "page.html")]) == 4
    assert "golden/0000.png" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_what_other_builds_know_is_shown(bundle, tmp_path):
    """Variants that were left out, mAP, saliency: shown where a manifest has them."""
    variants = [dict(one) for one in describe(bundle)["variants"]]
    variants[0]["parity"] = {"reference": "pytorch", "frames": 3, "agreement": 0.984, "map50": 0.71}
    looks = {"classes": {"red": {"objects": 4, "on_object": 0.9, "stability": 0.8}}}
    left = [{"id": "int8", "why": "loses 3 points"}]
    full = changed(bundle, tmp_path / "full", variants=variants, saliency=looks, left_out=left)
    text = Outline(render_page(full)).text
    for part in ("98.4%", "0.71", "loses 3 points", "What it looks at", "looks at the object"):
        assert part in text, part


def test_proof_of_variants(bundle, tmp_path):
    """Losses with their unit, drift per class, new classes as such; wide tables can be stacked."""
    variants = [dict(one) for one in describe(bundle)["variants"]]
    variants[0]["parity"] = {
        "reference": "fp32-graph", "detections_reference": "pytorch",
        "agreement": 0.984, "map50_95": 0.5, "map50_95_loss_points": 0.4,
        "score_drift": {"green": -0.031, "red": 0.002},
    }  # fmt: skip
    evil = '"><script>'
    looks = {"classes": {"red": {"objects": 4, "on_object": 0.9}}, "previous": {"version": evil}}
    full = changed(bundle, tmp_path / "full", variants=variants, saliency=looks)
    outline = Outline(render_page(full))
    assert outline.open == [] and not any(tag == "script" for tag, _ in outline.tags)
    for part in ("mAP50\u201195 lost, points of 100", "green-0.0310red+0.0020", "red490%new",
                 f"like version {evil}"):  # fmt: skip
        assert part in outline.text, part
    cells = [a.get("data-of") for tag, a in outline.tags if tag == "td"]
    assert "boxes agree" in cells and "boxes and mAP against" in cells
    assert "not compared with PyTorchPyTorch98.4%" in outline.text
    assert any(a.get("class") == "stack" for tag, a in outline.tags if tag == "table")


def test_synthetic_frames_are_called_so(bundle, tmp_path):
    """In a badge beside the name, and where the pictures are."""
    assert "synthetic" not in Outline(render_page(bundle)).text
    golden = {**bundle.manifest.document["golden"], "synthetic": True}
    text = Outline(render_page(changed(bundle, tmp_path / "b", golden=golden))).text
    assert "synthetic golden frames" in text and "12 synthetic frames (drawings" in text
