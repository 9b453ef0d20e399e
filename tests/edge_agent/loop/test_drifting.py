"""What a release learnt of its cameras comes back with it."""

from __future__ import annotations

import pytest

from benchmarks.line import baseline
from edge_agent.drift.camera import Glance
from edge_agent.loop.loaded import load_release
from edge_agent.policy.catalogue import catalogue
from tests.bundles import frame, make_bundle
from tests.devices import Device


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path, camera="[drift]\nspacing_s = 0\n")


def test_the_end_of_a_release_keeps_the_block_that_fills(tmp_path, device, caplog):
    """Three frames, its end, and its next start; the log says each time what is known."""
    caplog.set_level("INFO")
    config, root = device.config, make_bundle(tmp_path / "v1").root
    loaded = load_release(config, config.models[0], root)
    for seq in range(3):
        found = loaded.detector.detect(frame(seq)).detections
        loaded.drift.look("top", Glance(found, (64, 48), None, None, seq, 1e9 + seq))
    loaded.save(end=True)
    load_release(config, config.models[0], root)
    catalogue.cache_clear()
    catalogue()  # has a watch without a camera, of which there is nothing to say
    told = [one.message for one in caplog.records if one.message.startswith("camera ")]
    assert told == [
        "camera top: this release and variant is new to it; what is usual is learnt anew",
        "camera top: remembers 0 blocks and 3 frames",
    ]


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_calibrated_camera_s_ssim_is_not_compared_with_the_profile(tmp_path, calibrated):
    """It is against the camera's own reference, the profile's against the bundle's picture."""
    more = "[drift]\nspacing_s = 0\nprofile_frames = 10\n"
    device = Device(tmp_path, camera=more)
    if calibrated:
        baseline([frame(n) for n in range(12)], "top").write(device.layout.baseline("top"))
    config, root = device.config, make_bundle(tmp_path / "v1").root
    loaded = load_release(config, config.models[0], root)
    for seq in range(10):
        seen = loaded.gates["top"].check(frame(seq), seq=seq)
        found = loaded.detector.detect(frame(seq)).detections
        glance = Glance(found, (64, 48), seen.statistics, seen.ssim, seq, 1e9 + seq)
        loaded.drift.look("top", glance)
    loaded.drift.settle()
    compared = loaded.drift.skews()["top"].psi
    assert "luminance" in compared and ("ssim" in compared) is not calibrated
