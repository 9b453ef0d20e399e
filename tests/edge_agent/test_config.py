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


URL = 'url = "mqtt://127.0.0.1:1883"'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('url = "mqtt://"', "should be mqtt://HOST:PORT"),
        ('url = "mqtt:host"', "should be mqtt://HOST:PORT"),
        ('url = "mqtt://host:99999"', "should be mqtt://HOST:PORT"),
        ('url = "mqtt://host:0"', "should be mqtt://HOST:PORT"),
        ('url = "mqtt://[::1"', "should be mqtt://HOST:PORT"),
        ('url = "mqtt://host/outpost"', "without anything behind it"),
        (f'{URL}\nca = "ca.pem"', "mqtt.ca: is for TLS, and url is without it"),
        (f'{URL}\ncert = "device.pem"\nkey = "device.key"', "mqtt.key: is for TLS"),
        ('url = "mqtts://host"\nkey = "device.key"', "mqtt.key: is there without cert"),
        (f'{URL}\npassword_file = "secret"', "mqtt.password_file: is there without username"),
    ],
)
def test_a_broker_s_address_and_what_protects_it_are_taken_whole(tmp_path, lines, message):
    """What would be left out in silence, TLS before all, is a fault at load."""
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, GOOD.replace(URL, lines)))
    assert message in str(error.value)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path):
    """It was ignored, and stood in every line of the log about the connection."""
    with pytest.raises(ConfigError, match="password_file") as error:
        load(written(tmp_path, GOOD.replace(URL, 'url = "mqtt://ada:hunter2@host"')))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "lines",
    [
        "[metrics]\noutbox_max_age_h = 1e308",  # seconds of it were infinite: no connection held
        "[metrics]\noutbox_max_mb = 1e300",
        "[drift]\nprofile_frames = 9223372036854775807",
        "[drift]\npsi_max = 1e300",
        "[selftest]\nmemory_mb = 9223372036854775807",
        "[selftest]\ntimeout_s = 1e300",
        '[repository]\nurl = "file:///x"\npoll_s = 1e300',
    ],
)
def test_numbers_that_no_device_can_mean_are_out_of_range(tmp_path, lines):
    """They overflowed where they were used, long after the start."""
    with pytest.raises(ConfigError, match="above the most allowed"):
        load(written(tmp_path, GOOD + lines))


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

    def test_what_the_gate_ignores_has_the_same_shapes(self, tmp_path):
        """Of cameras that there are."""
        text = GOOD + "[gate.ignore]\nCAMERA = [[0, 0, 0.5, 1]]\n"
        gate = load(written(tmp_path, text.replace("CAMERA", "cam-1"))).gate
        assert gate.ignore["cam-1"] == (((0, 0), (0.5, 0), (0.5, 1), (0, 1)),)
        with pytest.raises(ConfigError, match=r"gate.ignore.cam1: there is no camera of this id"):
            load(written(tmp_path, text.replace("CAMERA", "cam1")))

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
            ("masks.cam-1 = [[0.5, 0, 0.5, 1]]", "has no area; it would cover nothing"),
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


class TestPolicy:
    """[policy] and [[rule]]."""

    def test_the_default_policy_needs_no_section(self, tmp_path):
        """Its rules do without keeping frames where none are kept."""
        policy = load(written(tmp_path, GOOD)).policy
        rules = {rule.name: rule for rule in policy.rules}
        assert policy.selftest_s == 3600 and policy.webhook is None
        assert rules["output-nonfinite"].actions == ("rollback",)
        kept = load(written(tmp_path, GOOD + "[capture]\nenabled = true\n")).policy
        assert kept.rules[4 - 1].actions == ("capture", "rollback")

    def test_a_rule_of_ones_own(self, tmp_path):
        """It replaces its namesake; the other defaults stay, or go with defaults = false."""
        rule = (
            '[[rule]]\nname = "output-drift"\nwhen = "psi.score > budget for 2 windows"\n'
            'clear_when = "psi.score < 0.1"\nactions = ["stop", "retrain"]\nseverity = "error"\n'
        )
        rules = {r.name: r for r in load(written(tmp_path, GOOD + rule)).policy.rules}
        assert len(rules) == 8 and rules["output-drift"].when.windows == 2
        assert rules["output-drift"].actions == ("stop", "retrain")
        text = GOOD + "[policy]\ndefaults = false\n" + rule
        assert [r.name for r in load(written(tmp_path, text)).policy.rules] == ["output-drift"]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('when = "psi.skore > 1"', '"psi_skore" is not a metric; did you mean "psi_score"?'),
            ('when = "camera_up <"', '"camera_up <": a metric or a number is missing after "<"'),
            ('when = "cpu_percent > 9"\nactions = ["rollback"]', "these are of the device"),
            ('when = "errors > 0"\nactions = ["captures"]', 'did you mean "capture"?'),
            ('when = "errors > 0"\nactions = ["capture"]', "needs [capture] enabled = true"),
            ('when = "errors > 0"\nactions = ["reference"]', "reference: should name the"),
            ('when = "errors > 0"\nreference = "night"', 'needs "reference" among the actions'),
            ('when = "errors > 0"\nreference_stays = true', "reference_stays: needs a reference"),
            ('when = "errors > 0"\nactions = ["reference"]\nreference = "Ni"', "the form"),
            ('when = "errors > 0"\nclear_when = "errors < 1 for 2 s"', 'takes no "for"'),
            ('when = "errors > 0"\nseverity = "fatal"', "is not one of info, warning, error"),
            ('when = "errors > 0"\nholdoff = 3', 'did you mean "hold_off_s"?'),
            ("", "rule[0].when: is missing"),
        ],
    )
    def test_each_fault_of_a_rule_is_named(self, tmp_path, line, message):
        """With the section and the nearest right name."""
        with pytest.raises(ConfigError) as caught:
            load(written(tmp_path, f'{GOOD}[[rule]]\nname = "r"\n{line}\n'))
        assert message in str(caught.value) and "rule[0]" in str(caught.value)

    def test_a_name_may_be_there_once(self, tmp_path):
        """Two rules of one name would share their alerts."""
        rule = '[[rule]]\nname = "r"\nwhen = "errors > 0"\n'
        with pytest.raises(ConfigError, match='the \\[\\[rule\\]\\] "r" is there twice'):
            load(written(tmp_path, GOOD + rule + rule))

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("http://example.org/x", "should begin with https://"),
            ("https://u:p@example.org/x", "holds a password"),
            ("ftp://127.0.0.1/x", "should begin with https://"),
        ],
    )
    def test_a_webhook_is_https(self, tmp_path, url, message):
        """Or stays on this machine."""
        with pytest.raises(ConfigError) as caught:
            load(written(tmp_path, f'{GOOD}[policy.webhook]\nurl = "{url}"\n'))
        assert message in str(caught.value)
