"""A release with an embedding in the agent's loop: every frame is placed, and judged by it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Holder, load_release
from edge_agent.sources import Frame
from edge_agent.telemetry.payloads import input_message
from tests.bundles import frame, make_bundle
from tests.devices import Device


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The tiny network with the mean of its cells."""
    return make_bundle(tmp_path_factory.mktemp("embedding") / "v1", embedding=True)


class Bench:
    """A judge with the release; pictures are given one by one, and every frame is sampled."""

    def __init__(self, folder, bundle):
        device = Device(folder, camera="[drift]\nspacing_s = 0\nprofile_frames = 60\n")
        config, self.holder = device.config, Holder()
        self.loaded = load_release(config, config.models[0], bundle.root)
        self.holder.swap(self.loaded)
        self.judge = Judge(config.cameras[0], config.gate, self.holder, lambda *told: None)

    def payload(self, pictures):
        """What ``up/metrics/input`` says of a window of them."""
        for seq, picture in enumerate(pictures, 1):
            self.judge.frame(Frame(picture, seq / 10, seq, "top"))
        assert self.judge.drain(10)
        self.loaded.drift.settle()
        tally = self.loaded.window.close().cameras["top"]
        return input_message("m", "top", tally, self.loaded.drift.skews()["top"]).payload


def tinted(picture):
    """More blue than the line ever is, without being another picture."""
    return cv2.add(picture, np.full_like(picture, (40, 0, 0)))


def test_clean_pictures_are_usual_and_tinted_ones_are_not(tmp_path, bundle):
    """Distance, skew and outliers move with the pictures; grey statistics hardly do."""
    bench = Bench(tmp_path, bundle)
    clean = bench.payload([frame(number) for number in range(60)])
    moved = bench.payload([tinted(frame(number)) for number in range(60)])
    assert clean["frames"] == moved["frames"] == 60
    assert clean["embedding_distance"] < 1.2 and moved["embedding_distance"] > 2.0
    assert clean["psi_embedding_distance"] < clean["psi_limit_embedding_distance"]
    assert moved["psi_embedding_distance"] > moved["psi_limit_embedding_distance"]
    assert clean["outlier_share"] < 0.1 and moved["outlier_share"] > 0.9
    assert abs(moved["luminance"] - clean["luminance"]) < 0.03
    assert moved["warmth"] < clean["warmth"] - 0.1


def test_a_runtime_that_gives_none(tmp_path, bundle):
    """Nothing is counted, nothing fails, and the reason is told."""
    bench = Bench(tmp_path, bundle)
    result = bench.loaded.detector.detect(frame(1))
    assert set(bench.loaded.embedded(result)) == {
        "embedding_distance", "embedding_1", "embedding_2", "embedding_3", "embedding_4",
    }  # fmt: skip
    assert bench.loaded.embedded(dataclasses.replace(result, embedding=None)) == {}
    engine = SimpleNamespace(provider="tensorrt-native", embeds=False)
    told = dataclasses.replace(bench.loaded, detector=engine).embedding
    assert told.startswith("left out: engines of tensorrt-native")


def test_a_bundle_without_one(tmp_path):
    """The features are absent; colour and outliers are told all the same."""
    bench = Bench(tmp_path, make_bundle(tmp_path / "plain"))
    told = bench.payload([frame(number) for number in range(60)])
    assert bench.loaded.embedding == "" and not any(name.startswith("embedding") for name in told)
    assert {"warmth", "chroma", "outliers", "psi_chroma", "psi_limit_luminance"} <= set(told)
    assert bench.loaded.drift.cameras["top"].history.layout.names[-1] == "ssim"
