"""Commands: strict, expiring, obeyed once, and answered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import OutpostError, StorageError
from edge_agent.metrics import COMMAND_KINDS
from edge_agent.telemetry import command as commands
from edge_agent.telemetry.command import AlreadyObeyed, Book, Command, CommandRefused, parse
from edge_agent.telemetry.desk import Desk, Outcome
from tests.schemas import faults

NOW = 1_800_000_000.0
SYNC = {"v": 1, "command": "sync", "issued": NOW, "expires": NOW + 60}
FEEDBACK = SYNC | {"command": "feedback", "frame": "top/1f2e3d4c/812", "verdict": "right"}
EACH = [
    SYNC,
    SYNC | {"command": "snapshot", "camera": "top"},
    SYNC | {"command": "restart-source", "camera": "top"},
    SYNC | {"command": "set-interval", "window_s": 2, "for_s": 60},
    SYNC | {"command": "set-interval", "window_s": 1.5},
    FEEDBACK,
    FEEDBACK | {"verdict": "wrong", "class": "dent", "box": [0, 1.5, 9, 9], "actual": "scratch"},
    FEEDBACK | {"verdict": "missed", "class": "Kratzer, groß", "by": "Zoë"},
]
WRONG = [
    (SYNC | {"command": "deploy"}, "is not one of sync"),
    (SYNC | {"command": "synk"}, 'did you mean "sync"'),
    (SYNC | {"v": 2}, "v: should be 1"),
    (SYNC | {"camera": "top"}, "camera: is not a known key"),
    (SYNC | {"release": "a" * 64}, "release: is not a known key"),
    (SYNC | {"command": "snapshot"}, "camera: is missing"),
    (SYNC | {"command": "snapshot", "camera": "../x"}, "does not have the form"),
    (SYNC | {"command": "set-interval", "window_s": 0.01}, "below the least"),
    (SYNC | {"command": "set-interval", "window_s": float("nan")}, "not a finite number"),
    ({"v": 1, "command": "sync"}, "issued: is missing"),
    ([1], "should be a table"),
    (SYNC | {"command": "feedback", "verdict": "right"}, "frame: is missing"),
    (FEEDBACK | {"frame": "top/../1"}, "frame: .* does not have the form"),
    (FEEDBACK | {"frame": "top/1f/-1"}, "frame: .* does not have the form"),
    (FEEDBACK | {"verdict": "rigth"}, 'did you mean "right"'),
    (FEEDBACK | {"verdict": "missed"}, "say of which class"),
    (FEEDBACK | {"actual": "dent"}, "goes with wrong only"),
    (FEEDBACK | {"box": [0, 0, 9]}, "box: should be x0, y0, x1, y1"),
    (FEEDBACK | {"box": "0,0,9,9"}, "box: should be a list of numbers"),
    (FEEDBACK | {"class": "de\nnt"}, "class: .* does not have the form"),
    (FEEDBACK | {"class": "x" * 129}, "class: .* does not have the form"),
    (FEEDBACK | {"by": "x" * 65}, "by: .* does not have the form"),
    (FEEDBACK | {"camera": "top"}, "camera: is not a known key"),
    (SYNC | {"frame": "top/1f/1"}, "frame: is not a known key"),
]


def read(document, now=NOW, retained=False):
    return parse("c1", json.dumps(document).encode(), retained=retained, now=now)


@pytest.mark.parametrize("document", EACH)
def test_each_kind_is_read_and_is_what_the_schema_says(document):
    """Reader and schema take the same."""
    assert read(document).kind == document["command"]
    assert faults("command", document) == []


@pytest.mark.parametrize(("document", "words"), WRONG)
def test_what_is_wrong_is_refused_in_words(document, words):
    """By the reader, and by the schema."""
    with pytest.raises(CommandRefused, match=words):
        read(document)
    if "nan" not in json.dumps(document).lower():
        assert faults("command", document)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"box": [9, 0, 9, 9]}, "x0 < x1"),
        ({"class": "\ud800"}, "class: .* does not have the form"),
    ],
)
def test_what_only_the_reader_refuses(change, words):
    """A box without area, half a letter: no schema can say so."""
    with pytest.raises(CommandRefused, match=words):
        read(FEEDBACK | change)


def test_a_verdict_was_said_when_it_was_issued():
    """However long it was on its way; not later than now, whatever the issuer's clock says."""
    assert read(FEEDBACK, now=NOW + 50).judgement.at == NOW
    early = read(FEEDBACK | {"issued": NOW + 200, "expires": NOW + 260}).judgement
    assert (early.at, str(early.frame), early.box) == (NOW, "top/1f2e3d4c/812", None)
    assert read(SYNC).judgement is None


@pytest.mark.parametrize(
    ("change", "now", "words"),
    [
        ({}, NOW + 61, "was 1 s ago by this device's clock"),
        ({"issued": NOW + 400, "expires": NOW + 460}, NOW, "is 400 s ahead"),
        ({"expires": NOW + 90_000}, NOW, "at most 86400 s after issued"),
        ({"issued": NOW + 50, "expires": NOW + 40}, NOW, "at most 86400 s after issued"),
    ],
)
def test_time_bounds(change, now, words):
    """Expired, from the future, too long, backwards."""
    with pytest.raises(CommandRefused, match=words):
        read(SYNC | change, now=now)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[" * 4000, b" " * 5000, b"7" * 4000])
def test_bytes_that_are_no_command(payload):
    """Whatever arrives is one clear refusal."""
    with pytest.raises(CommandRefused):
        parse("c1", payload, retained=False, now=NOW)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise_anything_else(payload, retained):
    """Fuzzed: a refusal in one line; no command is that short and comes by chance."""
    with pytest.raises(CommandRefused) as caught:
        parse("c1", payload, retained=retained, now=NOW)
    assert str(caught.value) and "\n" not in str(caught.value)


def test_a_retained_command_is_refused():
    """It would come again with each connection."""
    with pytest.raises(CommandRefused, match="never retained"):
        read(SYNC, retained=True)


def order(name, expires=NOW + 60):
    return Command(name, "sync", NOW, expires)


def test_a_command_is_obeyed_once_over_restarts_and_clocks(tmp_path):
    """The file remembers; a clock that was set back does not bring a forgotten one back."""
    path = tmp_path / "commands.json"
    Book.open(path).enter(order("a"), NOW)
    with pytest.raises(AlreadyObeyed):
        Book.open(path).enter(order("a"), NOW)
    Book.open(path).enter(order("b", NOW + 500), NOW + 61)  # forgets a, which expired
    assert set(Book.open(path).expiries) == {"b"}
    with pytest.raises(CommandRefused, match="within 60 s is forgotten already"):
        Book.open(path).enter(order("a"), NOW)
    Book.open(path).enter(order("c", NOW + 61), NOW)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_book_is_bounded_and_a_damaged_one_obeys_nothing(tmp_path, monkeypatch):
    """Fail-safe: refuse rather than forget."""
    monkeypatch.setattr(commands, "REMEMBERED_MOST", 3)
    path = tmp_path / "commands.json"
    book = Book.open(path)
    for number in range(3):
        book.enter(order(f"c{number}"), NOW)
    with pytest.raises(CommandRefused, match="have not expired yet"):
        book.enter(order("c3"), NOW)
    path.write_text("{}")
    with pytest.raises(StorageError, match=r"commands\.json.*remove it"):
        Book.open(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"floor": Infinity, "expiries": {}}',
        '{"floor": NaN, "expiries": {}}',
        '{"floor": 1' + "0" * 400 + ', "expiries": {}}',
        '{"floor": 0, "expiries": {"a": 1' + "0" * 400 + "}}",
        '{"floor": 0, "expiries": {"a": NaN}}',
        '{"floor": "0", "expiries": {}}',
        '{"floor": 0, "expiries": []}',
        '{"floor": 0, "expiries": {}, "more": 1}',
        "[]",
        "\x00",
    ],
)
def test_a_damaged_book_is_an_answer(tmp_path, text):
    """Whatever lies there: a refusal that names the file, not silence and not a traceback."""
    bench = Bench(tmp_path)
    (tmp_path / "commands.json").write_text(text)
    bench.hear("a", SYNC)
    ((_, answer),) = bench.answers
    assert answer["state"] == "refused" and "commands.json: cannot be read" in answer["text"]
    assert bench.calls == []


def test_a_clock_that_was_set_back_is_an_answer_too(tmp_path):
    """A new id that expires before what is forgotten is refused in words, not in silence."""
    bench = Bench(tmp_path)
    (tmp_path / "commands.json").write_text(json.dumps({"floor": NOW + 1e6, "expiries": {}}))
    bench.hear("a", SYNC)
    ((_, answer),) = bench.answers
    assert answer["state"] == "refused" and "clock set back" in answer["text"]


class Bench:
    """A desk with actions that tests look at."""

    def __init__(self, folder, allowed=COMMAND_KINDS):
        self.answers, self.calls = [], []
        self.now, self.ready = 50.0, None
        self.desk = Desk(
            folder / "commands.json",
            {"sync": self.sync, "snapshot": self.snapshot, "restart-source": self.broken},
            allowed=allowed,
            tell=lambda message: self.answers.append((message.suffix, message.payload)),
            clock=lambda: NOW,
            monotonic=lambda: self.now,
        )

    def sync(self, command):
        self.calls.append(command.id)
        return Outcome("done", "looking")

    def snapshot(self, command):
        return lambda: self.ready

    def broken(self, command):
        raise OutpostError("the camera is gone")

    def hear(self, name, document, retained=False):
        self.desk.hear(name, json.dumps(document).encode(), retained)
        self.desk.poll()

    def states(self):
        return [(suffix.rpartition("/")[2], p["state"]) for suffix, p in self.answers]


def test_done_failed_refused_and_answered_once(tmp_path):
    """Each has its answer; the same command delivered twice has one."""
    bench = Bench(tmp_path, allowed=("sync", "restart-source"))
    bench.hear("a", SYNC)
    bench.hear("a", SYNC)
    bench.hear("b", EACH[2])
    bench.hear("c", EACH[1])
    bench.hear("no/id", SYNC)
    bench.hear("d", SYNC, retained=True)
    assert bench.states() == [("a", "done"), ("b", "failed"), ("c", "refused"), ("d", "refused")]
    assert bench.calls == ["a"]
    assert "not among [mqtt] commands" in bench.answers[2][1]["text"]
    envelope = {"v": 1, "ts": NOW, "boot": "b", "seq": 1, "model_version": 0}
    assert all(faults("result", envelope | payload) == [] for _, payload in bench.answers)


def test_what_takes_time_is_answered_later_or_given_up(tmp_path):
    """A picture of a camera that gives none ends after a while."""
    bench = Bench(tmp_path)
    bench.hear("a", EACH[1])
    bench.hear("b", EACH[1])
    assert bench.answers == []
    bench.ready = Outcome("done", "written", {"size": 3})
    bench.desk.poll()
    bench.ready = None
    bench.hear("c", EACH[1])
    bench.now += 16
    bench.desk.poll()
    assert bench.states() == [("a", "done"), ("b", "done"), ("c", "failed")]


def test_a_storm_of_nonsense_fills_no_outbox(tmp_path):
    """A few refusals a minute are told, all others only counted by nobody."""
    bench = Bench(tmp_path)
    for number in range(200):
        bench.hear(f"x{number}", {"v": 3})
    assert len(bench.answers) == 20
    bench.now += 61
    bench.hear("y", {"v": 3})
    assert len(bench.answers) == 21
