"""The choice of golden frames, a pure rule."""

from __future__ import annotations

from builder.golden import choose_frames, unseen_classes
from builder.survey import Sighting

CLASSES = ("scratch", "dent", "chip")


def sighting(name, classes=None, reported=None, nearest=1.0, steady=True):
    """What a picture showed; by default one detection per class."""
    classes = classes or {}
    count = len(classes) if reported is None else reported
    top = max(classes.values(), default=0.1)
    return Sighting(name, classes, count, top, nearest, steady)


def line(count=40):
    """Empty pictures but for a few."""
    rest = {f"{number:03d}": sighting(f"{number:03d}") for number in range(count)}
    special = [
        sighting("003", {0: 0.9}),
        sighting("007", {0: 0.6, 1: 0.8}, reported=9),
        sighting("011", {1: 0.95}),
        sighting("013", {2: 0.4}),
        sighting("017", {0: 0.26}, nearest=0.01),
    ]
    return list((rest | {one.name: one for one in special}).values())


def test_every_kind_is_there():
    """Each class at its best, an empty, the most crowded, one near the threshold, then a spread."""
    choices = {choice.name: choice.why for choice in choose_frames(line(), CLASSES, 12)}
    assert len(choices) == 12
    assert choices["003"] == "class scratch"
    assert choices["007"] == "crowded"
    assert choices["011"] == "class dent"
    assert choices["013"] == "class chip"
    assert choices["017"] == "near the threshold"
    assert "empty" in choices.values()
    spread = [int(name) for name, why in choices.items() if why.startswith("spread")]
    assert len(spread) == 6 and max(spread) > 30


def test_order_and_repeatability():
    """Choices come in the order of the pictures and are the same every time."""
    choices = choose_frames(line(), CLASSES, 12)
    assert [one.name for one in choices] == sorted(one.name for one in choices)
    assert choose_frames(line(), CLASSES, 12) == choices


def test_unsteady_frames_are_left_out():
    """A frame that hangs by a hair is taken only when there are no others."""
    shaky = [sighting("a", {0: 0.9}, steady=False), sighting("b", {0: 0.5})]
    assert [one.name for one in choose_frames(shaky, CLASSES, 12)] == ["b"]
    assert [one.name for one in choose_frames(shaky[:1], CLASSES, 12)] == ["a"]


def test_few_and_many():
    """A dataset of three images gives three frames; more classes than places gives the places."""
    three = [sighting("a"), sighting("b", {0: 0.5}), sighting("c")]
    assert [one.name for one in choose_frames(three, CLASSES, 12)] == ["a", "b", "c"]
    many = [sighting(f"{number:03d}", {number: 0.9}) for number in range(80)]
    assert len(choose_frames(many, [str(number) for number in range(80)], 12)) == 12


def test_unseen_classes():
    """A class that no picture shows is named."""
    assert unseen_classes(line(), (*CLASSES, "burr")) == ["burr"]
