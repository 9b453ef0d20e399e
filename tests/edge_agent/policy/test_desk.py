"""The desk: windows in; events, the retained list and actions out; nothing lost by a restart."""

from __future__ import annotations

import json

import pytest

from edge_agent.errors import StorageError
from edge_agent.metrics import ALERTS
from edge_agent.policy.alerts import Alert
from edge_agent.policy.desk import Clocks, Desk, Subject, may
from edge_agent.policy.expression import parse
from edge_agent.policy.memory import Memory
from edge_agent.policy.rules import CAPTURE, REFERENCE, RETRAIN, ROLLBACK, STOP, Rule
from edge_agent.triage import CAMERA, ENGINE, MODEL, SCENE, Finding
from tests.edge_agent.away import Away


class Recorded:
    """Hands that only remember what they were asked."""

    def __init__(self):
        self.acts = []
        self.undone = []

    def act(self, action, alert, subject):
        self.acts.append((action, alert.number, alert.cause))
        return []

    def undo(self, action, alert):
        self.undone.append((action, alert.number))
        return []


class Room:
    """A desk on a folder, and a clock that a test moves."""

    def __init__(self, folder, *rules):
        self.now = 1000.0
        self.folder, self.rules = folder, rules
        self.open()

    def open(self, disk=None, **subjects):
        self.hands = Recorded()
        self.memory = Memory(self.folder / "alerts.json")
        self.desk = Desk(
            self.rules,
            {rule.name: "model" for rule in self.rules},
            {"model": ["m"], "camera": [], "device": [""]} | subjects,
            memory=self.memory,
            hands=self.hands,
            clocks=Clocks(lambda: self.now, lambda: self.now),
            disk=disk,
        )
        return self.desk.begin()

    def window(self, value, finding=Finding(), release="d" * 64):  # noqa: B008 - frozen
        self.now += 10
        readings = {} if value is None else {"a": value}
        return self.desk.window([Subject("model", "m", "m", 3, release, readings, finding)])


def kinds(messages):
    return [m.payload["kind"] for m in messages if m.suffix != ALERTS]


def rule(*actions, **more):
    return Rule("high", parse("a > 1"), clear_after=1, actions=actions, **more)


def test_raised_acknowledged_cleared(tmp_path):
    """Each step is an event with the number, and the retained list follows."""
    room = Room(tmp_path, rule(severity="error"))
    (raised, active) = room.window(2)
    assert (raised.payload["kind"], raised.payload["alert"], raised.payload["a"]) == (
        "alert.raised", 1, 2,
    )  # fmt: skip
    assert active.retain and not active.durable and active.suffix == ALERTS
    assert (active.payload["count"], active.payload["worst"]) == (1, "error")
    assert room.window(2) == []
    told, active = room.desk.acknowledge(1, "ada")
    assert told.payload["kind"] == "alert.acknowledged" and "by ada" in told.payload["text"]
    assert active.payload["alerts"][0]["state"] == "acknowledged"
    assert room.desk.acknowledge(1, "bob") == room.desk.acknowledge(7, "bob") == []
    cleared, active = room.window(0)
    assert (cleared.payload["kind"], cleared.payload["seconds"]) == ("alert.cleared", 20.0)
    assert active.payload == {"count": 0, "worst": "", "alerts": []}


def test_a_restart_keeps_what_stands(tmp_path):
    """Neither raised twice nor forgotten; hold-off and numbers go on."""
    room = Room(tmp_path, rule(STOP, hold_off_s=60))
    room.window(2)
    (active,) = room.open()
    assert active.payload["alerts"][0]["alert"] == 1
    assert room.desk.withheld == {("model", "m")}
    assert room.window(2) == []
    assert kinds(room.window(0)) == ["alert.cleared"]
    assert room.desk.withheld == frozenset()
    room.open()
    assert room.window(2) == []  # held off
    room.now += 60
    assert room.window(2)[0].payload["alert"] == 2


def test_what_was_said_of_a_release_ends_with_it(tmp_path):
    """Nobody may ever speak of the next one; until somebody does, nothing holds there."""
    judged = Rule("poor", parse("performance.precision_most < 0.8"), clear_after=1, hold_off_s=0)
    room = Room(tmp_path, judged, rule())

    def window(release, **readings):
        room.now += 10
        return kinds(
            room.desk.window([Subject("model", "m", "m", 3, release, readings, Finding())])
        )

    assert window("d" * 64, a=2) == ["alert.raised"]
    assert window("d" * 64, performance_precision_most=0.6) == ["alert.raised"]
    assert window("d" * 64) == []
    assert window("") == [], "nothing serves, which says nothing"
    assert window("e" * 64) == ["alert.cleared"], "only the one about what was said"
    assert [alert.rule for alert in room.desk.alerts] == ["high"]
    assert window("e" * 64, performance_precision_most=0.5) == ["alert.raised"]


def test_an_alert_whose_subject_is_gone_is_cleared_at_the_start(tmp_path):
    """A camera that was taken out of the configuration does not stand for ever."""
    room = Room(tmp_path, rule())
    room.window(2)
    messages = room.open(model=["other"])
    assert kinds(messages) == ["alert.cleared"] and messages[-1].payload["count"] == 0


def test_notes_of_another_process(tmp_path):
    """`edge-agent alerts ack` leaves one; it is read once."""
    room = Room(tmp_path, rule())
    room.window(2)
    room.memory.leave_note(1, "ada", 5.0)
    for name, text in (("x", "{"), ("2", "[" * 100_000), ("y", "{}")):
        (room.memory.notes / f"{name}.json").write_text(text)
    assert kinds(room.desk.take_notes()) == ["alert.acknowledged"]
    assert list(room.memory.notes.iterdir()) == []  # a bad one is told of once
    assert room.desk.take_notes() == []


def test_a_rollback_waits_for_a_cause_that_it_cures(tmp_path):
    """Not before triage has an answer, not for a camera or scene, once per release."""
    other = Rule("also", parse("a > 1"), clear_after=1, actions=(ROLLBACK,))
    room = Room(tmp_path, rule(ROLLBACK), other)
    waiting = Finding("", ("drift",))
    room.window(2, waiting)
    assert room.hands.acts == []
    told = room.window(2, Finding(ENGINE, ("golden",)))
    assert kinds(told) == ["alert.explained"] * 2
    assert room.hands.acts == [(ROLLBACK, 1, ENGINE)]
    room.window(0)
    assert room.hands.undone == [(ROLLBACK, 1)]


@pytest.mark.parametrize("cause", [CAMERA, SCENE, ""])
def test_no_rollback_for_what_is_not_the_releases_fault(tmp_path, cause):
    """Whatever the rule says."""
    room = Room(tmp_path, rule(ROLLBACK, CAPTURE))
    for _ in range(3):
        room.window(2, Finding(cause, ("seen",)))
    assert room.hands.acts == [(CAPTURE, 1, cause)]


def test_what_may_be_done():
    """The table of `may`: actions against causes and the release that serves now."""
    alert = Alert(1, "r", "m", "model", "error", 0.0, cause=MODEL, release="a")

    def subject(release, finding=Finding()):  # noqa: B008 - frozen
        return Subject("model", "m", "m", 1, release, {}, finding)

    assert may(ROLLBACK, alert, subject("a")) and not may(ROLLBACK, alert, subject("b"))
    scene = Alert(1, "r", "m", "model", "error", 0.0, cause=SCENE, release="a")
    assert may(RETRAIN, scene, subject("a")) and not may(ROLLBACK, scene, subject("a"))
    engine = Alert(1, "r", "m", "model", "error", 0.0, cause=ENGINE, release="a")
    assert not may(RETRAIN, engine, subject("a"))
    unknown = Alert(1, "r", "m", "model", "error", 0.0, release="a")
    assert not may(RETRAIN, unknown, subject("a", Finding("", ("drift",))))
    assert may(RETRAIN, unknown, subject("a"))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema_version": 9}', '{"alerts": 3}'])
def test_a_damaged_file_is_put_aside(tmp_path, damage):
    """Alerts begin anew; what was there can be looked at."""
    (tmp_path / "alerts.json").write_text(damage)
    room = Room(tmp_path, rule())
    assert (tmp_path / "alerts.json.damaged").read_text() == damage
    assert kinds(room.window(2)) == ["alert.raised"]
    assert json.loads((tmp_path / "alerts.json").read_bytes())["last"] == 1


def test_a_disk_that_refuses_is_tried_again(tmp_path):
    """The alert is told all the same, and remembered when the disk takes it."""
    folder = tmp_path / "gone"
    room = Room(folder, rule())
    assert kinds(room.window(2)) == ["alert.raised"]
    folder.mkdir()
    room.window(2)
    assert len(room.memory.read().alerts) == 1


def switching(name, over, reference, **more):
    """A rule that switches the reference while ``a`` is above a number."""
    actions = (REFERENCE,)
    return Rule(
        name, parse(f"a > {over}"), clear_after=1, hold_off_s=0, actions=actions,
        reference=reference, **more,
    )  # fmt: skip


MINE = [("camera", "top"), ("model", "m")]


def test_a_reference_returns_when_the_alert_is_cleared(tmp_path):
    """The newest alert says which; after it the one before; then nobody."""
    room = Room(tmp_path, switching("dusk", 1, "dusk"), switching("night", 5, "night"))
    assert room.desk.reference_of(MINE) == ""
    seen = []
    for value in (2, 9, 2, 0):
        room.window(value)
        seen.append(room.desk.reference_of(MINE))
        room.open()  # a restart changes nothing
        assert room.desk.reference_of(MINE) == seen[-1]
    assert seen == ["dusk", "night", "dusk", ""]
    assert room.desk.reference_of([("camera", "top"), ("model", "other")]) == ""


def test_a_reference_stays_where_the_rule_says_so(tmp_path):
    """Until another rule switches, over restarts too, and for as long as a rule still wants it."""
    low = Rule(
        "day", parse("a < 1"), clear_after=1, hold_off_s=0, actions=(REFERENCE,),
        reference="day", reference_stays=True,
    )  # fmt: skip
    room = Room(tmp_path, low, switching("night", 5, "night", reference_stays=True))
    seen = []
    for value in (3, 9, 3, 0, 3):
        room.window(value)
        seen.append(room.desk.reference_of(MINE))
        room.open()
        assert room.desk.reference_of(MINE) == seen[-1]
    assert seen == ["", "night", "night", "day", "day"]
    room.rules = (room.rules[1],)
    room.open()
    assert room.desk.reference_of(MINE) == ""


@pytest.mark.parametrize("rows", [[["model", "m"]], [1], {"m": "day"}, "day"])
def test_references_that_are_none_are_damage(tmp_path, rows):
    """The file is put aside as a whole."""
    room = Room(tmp_path, rule())
    room.window(2)
    path = room.memory.path
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"references": rows}))
    with pytest.raises(StorageError, match="references"):
        room.memory.read()


def test_alerts_do_not_wait_for_the_disk(tmp_path):
    """Raised and cleared while it is away; the newest is written then, and refusals retry."""
    room, disk = Room(tmp_path, rule(hold_off_s=0)), Away()
    room.open(disk)
    assert kinds(room.window(2)) == ["alert.raised"]
    assert not (tmp_path / "alerts.json").exists()
    room.window(0)
    assert kinds(room.window(2)) == ["alert.raised"]
    disk.come()
    assert [alert.number for alert in room.memory.read().alerts] == [2]
    (tmp_path / "alerts.json").unlink()
    (tmp_path / "alerts.json").mkdir()
    room.window(0)
    disk.come()
    (tmp_path / "alerts.json").rmdir()
    room.window(0)
    disk.come()
    assert room.memory.read().alerts == () and room.memory.read().last == 2
    room.memory.leave_note(9, "ada", 5.0)
    assert room.desk.take_notes() == []
    disk.come()
    assert room.desk.take_notes() == []
