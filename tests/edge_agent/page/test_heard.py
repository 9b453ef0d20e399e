"""What is kept of the agent's messages."""

from __future__ import annotations

from edge_agent.metrics import METRICS_OUTPUT, METRICS_SYSTEM, Message, event
from edge_agent.page.heard import DRIFT_KEPT, EVENTS_KEPT, Heard


def output(frames=0, **psi):
    payload = {"model": "defects", "inferred": 10, "drift_block_frames": frames}
    for name, (value, limit) in psi.items():
        payload |= {f"psi_{name}": value, f"psi_limit_{name}": limit, "psi_frames": 300}
    return Message(METRICS_OUTPUT, payload)


def test_the_last_windows_are_kept():
    """Of the device, and of each model."""
    heard = Heard(lambda: 7.0)
    assert heard.system is None and heard.output("defects") is None
    heard(Message(METRICS_SYSTEM, {"cpu_percent": 3.0}))
    heard(output(frames=10))
    heard(output(frames=20))
    assert heard.system == (7.0, {"cpu_percent": 3.0})
    assert heard.output("defects").payload["drift_block_frames"] == 20
    assert heard.output("other") is None


def test_a_verdict_is_one_point_of_drift_however_often_it_is_told():
    """The feature that is nearest to its limit speaks for all."""
    heard = Heard(lambda: 7.0)
    heard(output(frames=10))
    for frames in (1, 2, 3):
        heard(output(frames, score=(0.2, 0.5), boxes=(0.3, 0.4)))
    heard(output(4, score=(0.6, 0.5), boxes=(0.3, 0.4)))
    assert [point[1:] for point in heard.drift("defects")] == [
        ("boxes", 0.3, 0.4),
        ("score", 0.6, 0.5),
    ]


def test_events_are_kept_newest_and_by_subject():
    """Transitions are left to the journal, which has all of them."""
    heard = Heard(lambda: 7.0)
    heard(event("source.lost", "error", "camera top: gone", camera="top"))
    heard(event("gate.rejecting", "warning", "camera top: dark", camera="top"))
    heard(event("transition", "info", "defects 2: TRIAL -> COMMITTED", model="defects"))
    heard(event("model.loaded", "info", "defects 2 runs", model="defects"))
    assert [one.kind for one in heard.events] == ["source.lost", "gate.rejecting", "model.loaded"]
    assert heard.latest("top", "source").text == "camera top: gone"
    assert heard.latest("top", "gate").severity == "warning"
    assert heard.latest("defects", "model").at == 7.0
    assert heard.latest("side", "source") is None and heard.latest("defects", "drift") is None


def test_memory_is_bounded():
    """However long the agent runs."""
    heard = Heard()
    for number in range(500):
        heard(event("source.lost", "error", str(number), camera="top"))
        heard(output(score=(number / 1000, 0.5)))
    assert len(heard.events) == EVENTS_KEPT and heard.events[-1].text == "499"
    assert len(heard.drift("defects")) == DRIFT_KEPT
