"""edge_agent.config: strict, with every fault listed and the nearest right name."""

import pytest

from edge_agent.config import load
from edge_agent.errors import ConfigError

GOOD = """
[device]
id = "cell-3"
data = "data"
[mqtt]
url = "mqtt://127.0.0.1:1883"
[[model]]
name = "defects"
[[camera]]
id = "cam-1"
source = "dir:frames"
model = "defects"
"""


def written(tmp_path, text):
    """A config file with this text."""
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


def test_defaults_need_no_thought(tmp_path):
    """A short file is enough; relative paths start at its folder."""
    config = load(written(tmp_path, GOOD))
    assert config.layout.data == tmp_path / "data"
    assert config.model("defects").providers == ("cpu",)
    assert config.gate.action == "skip"
    assert config.repository is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("id = ", "idd = "), 'device.idd: is not a known key; did you mean "id"?'),
        (("[mqtt]", "[mqqt]"), 'mqqt: is not a known key; did you mean "mqtt"?'),
        (('"cell-3"', '"Cell 3"'), "device.id"),
        (("mqtt://", "tcp://"), "mqtt.url"),
        (('model = "defects"', 'model = "defect"'), '"defect" is not a [[model]]: defects'),
        (('source = "dir:frames"', ""), "camera[0].source: is missing"),
        (
            ('"defects"\n[[', '"defects"\nthresholds = { scratch = 2 }\n[['),
            "thresholds.scratch: 2 is",
        ),
        (
            ('"defects"\n[[', '"defects"\nproviders = ["cudaa"]\n[['),
            '"cudaa" is not one of tensorrt-n',
        ),
    ],
)
def test_each_fault_is_named(tmp_path, change, message):
    """A wrong key or value is one line that says where and what."""
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_come_at_once(tmp_path):
    """Two faults, one failure."""
    text = GOOD.replace("cell-3", "A B") + "\n[gate]\nwidht = 5\n"
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert "device.id" in str(caught.value)
    assert 'did you mean "width"?' in str(caught.value)


def test_a_class_may_have_a_threshold_of_its_own(tmp_path):
    """Names are the classes', whatever they are; they are held against each release later."""
    text = GOOD.replace('"defects"\n[[', '"defects"\nthresholds = { "deep scratch" = 0.4 }\n[[')
    assert load(written(tmp_path, text)).model("defects").thresholds == {"deep scratch": 0.4}


class TestCapture:
    """``[capture]``: off unless asked for, and never a mask that hides nothing."""

    def test_it_is_off_and_has_a_folder_of_its_own(self, tmp_path):
        """Below the data folder; elsewhere when it says so."""
        config = load(written(tmp_path, GOOD))
        assert not config.capture.enabled
        assert config.captures == tmp_path / "data" / "captures"
        text = GOOD + '[capture]\nfolder = "card/hard"\n'
        assert load(written(tmp_path, text)).captures == tmp_path / "card" / "hard"

    def test_masks_are_polygons(self, tmp_path):
        """A rectangle is the polygon of its corners."""
        text = GOOD + "[capture.masks]\ncam-1 = [[0, 0, 0.5, 1], [0, 0, 1, 0, 0.5, 0.5]]\n"
        rectangle, triangle = load(written(tmp_path, text)).capture.masks["cam-1"]
        assert rectangle == ((0, 0), (0.5, 0), (0.5, 1), (0, 1))
        assert triangle == ((0, 0), (1, 0), (0.5, 0.5))

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ('reasons = ["chek"]', '"chek" is not one of alert, baseline, check'),
            ('format = "webp"', "capture.format"),
            ("quality = 101", "capture.quality: 101 is above the most allowed, 100"),
            ("max_mbb = 1", 'capture.max_mbb: is not a known key; did you mean "max_mb"?'),
            ("masks.cam1 = [[0, 0, 1, 1]]", 'there is no camera of this id; did you mean "cam-1"'),
            ("masks.cam-1 = [[0, 0, 320, 180]]", "should be shares of width and height"),
            ("masks.cam-1 = [[0, 0, 1]]", "should be x0, y0, x1, y1 of a rectangle"),
            ("masks.cam-1 = [[0.5, 0, 0.5, 1]]", "has no area; it would hide nothing"),
            ("masks.cam-1 = [0, 0, 1, 1]", "should be a list of finite numbers"),
            ("masks.cam-1 = 1", "should be a list of lists of numbers"),
        ],
    )
    def test_each_fault_is_named(self, tmp_path, lines, message):
        """In one line, with the section."""
        with pytest.raises(ConfigError) as caught:
            load(written(tmp_path, f"{GOOD}[capture]\n{lines}\n"))
        assert message in str(caught.value) and "capture." in str(caught.value)


def gate_of(tmp_path, text):
    return load(written(tmp_path, GOOD + "\n[gate]\n" + text)).gate


def test_what_a_failed_check_means(tmp_path):
    """Each check follows the action unless it says otherwise; a slow source is never skipped."""
    plain = gate_of(tmp_path, "").checks
    assert plain["rate"] == "flag" and {*plain.values()} == {"skip", "flag"}
    assert {*gate_of(tmp_path, 'action = "flag"').checks.values()} == {"flag"}
    checks = gate_of(tmp_path, '[gate.checks]\nblur = "flag"\nnoise = "pass"').checks
    assert (checks["blur"], checks["noise"], checks["freeze"]) == ("flag", "pass", "skip")
    with pytest.raises(ConfigError, match=r'gate\.checks\.blurr: is not a check .* "blur"'):
        gate_of(tmp_path, '[gate.checks]\nblurr = "flag"')
    with pytest.raises(ConfigError, match=r"gate\.checks\.blur: .* is not one of skip, flag, pass"):
        gate_of(tmp_path, '[gate.checks]\nblur = "drop"')


def test_missing_file_and_no_toml(tmp_path):
    """No file: say how to make one. No TOML: say where it breaks."""
    with pytest.raises(ConfigError, match="edge-agent init"):
        load(tmp_path / "agent.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        load(written(tmp_path, "[device\n"))
