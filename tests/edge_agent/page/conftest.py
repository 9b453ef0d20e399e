"""A release in memory and frames that it judged, as the page's listener gets them."""

from __future__ import annotations

import time

import pytest

from deploy.demo.browser import Browser
from edge_agent.loop.loaded import load_release
from edge_agent.loop.seen import Seen
from edge_agent.sources import Frame
from tests.bundles import make_bundle
from tests.devices import Device
from tests.pages import page_of


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("page") / "v1")


@pytest.fixture(scope="session")
def bundle2(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("page") / "v2", version=2)


@pytest.fixture(scope="session")
def loaded(tmp_path_factory, bundle):
    """The release of `bundle`, with a gate for the camera ``top``."""
    config = Device(tmp_path_factory.mktemp("page"), device="loaded").config
    return load_release(config, config.models[0], bundle.root)


@pytest.fixture(scope="session")
def see(loaded):
    """``see(picture)``: the `Seen` of a picture, judged for real; ``kept=True`` skips the model."""

    def seen(picture, *, kept=False, camera="top", seq=1):
        verdict = loaded.gates["top"].check(picture)
        result = None if kept else loaded.detector.detect(picture)
        return Seen(Frame(picture, time.time(), seq, camera), verdict, result, loaded)

    return seen


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; a module that uses it is skipped where there is none."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def serve(tmp_path, bundle):
    """``serve(...)`` gives a device whose agent runs, and the address of its page."""
    agents = []

    def start(*, release=bundle, name="seen", **settings):
        device = Device(tmp_path, device=name, **settings)
        if release is not None:
            device.commit(device.add(release))
        context = device.agent("--page", "127.0.0.1:0")
        agents.append(context)
        return device, page_of(context.__enter__())

    yield start
    for context in agents:
        context.__exit__(None, None, None)
