"""The choice of golden frames, a pure rule."""

from __future__ import annotations

from builder.golden import LEAST, MOST, choose_frames, gaps
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
        sighting("007", {0: 0.5, 1: 0.8}, reported=9),
        sighting("011", {1: 0.95}),
        sighting("013", {2: 0.4}),
        sighting("017", {0: 0.26}, nearest=0.01),
    ]
    return list((rest | {one.name: one for one in special}).values())


def why(sightings, classes=CLASSES, wanted=None):
    """name -> why."""
    return {one.name: one.why for one in choose_frames(sightings, classes, wanted)}


def test_every_kind_is_there():
    """The most crowded, an empty, each class, those near the threshold, then a spread."""
    choices = why(line())
    assert len(choices) == LEAST
    assert choices["007"] == "crowded"
    assert choices["003"] == "class scratch"  # 007 shows it too, but barely
    assert choices["013"] == "class chip"
    assert "011" not in choices or choices["011"].startswith("spread")  # 007 shows dents well
    assert choices["017"] == "near the threshold"
    assert "empty" in choices.values()
    spread = [int(name) for name, words in choices.items() if words.startswith("spread")]
    assert len(spread) == 7 and max(spread) > 30


def many(kinds=80, each=1):
    """A picture for each class, or for each few, behind empty, crowded and uncertain ones."""
    shown = [
        sighting(f"{number:03d}", {(number * each + one) % kinds: 0.9 for one in range(each)})
        for number in range(kinds // each)
    ]
    return [
        *shown,
        sighting("crowd", {0: 0.9}, reported=40),
        sighting("empty"),
        sighting("near1", {1: 0.26}, nearest=0.01),
        sighting("near2", {1: 0.27}, nearest=0.02),
    ]


def test_several_classes_in_one_picture_come_first():
    """80 classes on pictures of five each need 16 of them."""
    single = [sighting(f"single{number}", {number: 0.99}) for number in range(80)]
    names = [str(number) for number in range(80)]
    choices = why([*single, *many(80, 5)], names)
    assert not any(name.startswith("single") for name in choices)
    assert len(choices) == 16 + 4
    assert choices["001"] == "classes 5, 6, 7, 8, 9"


def test_many_classes_leave_room_for_the_others():
    """More classes than places: empty, crowded and uncertain frames are there all the same."""
    names = [str(number) for number in range(80)]
    choices = why(many(), names)
    assert len(choices) == MOST
    assert (choices["crowd"], choices["empty"]) == ("crowded", "empty")
    assert choices["near1"] == choices["near2"] == "near the threshold"
    assert sum(words.startswith("class ") for words in choices.values()) == MOST - 4
    left = gaps(many(), names, choices).left
    assert len(left) == 80 - (MOST - 4) - 1  # one is on the crowded frame


def test_wanted_frames():
    """So many and no others; a third of them at most is not for classes."""
    names = [str(number) for number in range(80)]
    assert len(why(many(), names, 100)) == 84
    assert gaps(many(), names, why(many(), names, 84)).left == []
    assert len(why(many(), names, 20)) == 20
    assert "crowd" not in why(many(), names, 2) and len(why(many(), names, 2)) == 2
    three = why(many(), names, 3)
    assert "crowd" in three and "empty" not in three and len(three) == 3
    assert len(why(many(3), CLASSES, 5)) == 5


def test_few_classes_stay_at_the_least():
    """A device is asked no more than before where the classes do not need it."""
    assert len(why(many(5) + line(60), [str(number) for number in range(5)])) == LEAST


def test_places_for_uncertain_frames_that_are_none_go_to_classes():
    """Nothing near the threshold: the two places are two more classes."""
    names = [str(number) for number in range(80)]
    certain = [one for one in many() if not one.name.startswith("near")]
    assert sum(words.startswith("class ") for words in why(certain, names).values()) == MOST - 2


def test_order_and_repeatability():
    """Choices come in the order of the pictures and are the same every time."""
    choices = choose_frames(line(), CLASSES)
    assert [one.name for one in choices] == sorted(one.name for one in choices)
    assert choose_frames(line(), CLASSES) == choices


def test_unsteady_frames_are_left_out():
    """A frame that hangs by a hair is taken only when there are no others."""
    shaky = [sighting("a", {0: 0.9}, steady=False), sighting("b", {0: 0.5})]
    assert list(why(shaky)) == ["b"]
    assert list(why(shaky[:1])) == ["a"]


def test_few_pictures():
    """A dataset of three images gives three frames."""
    three = [sighting("a"), sighting("b", {0: 0.5}), sighting("c")]
    assert list(why(three)) == ["a", "b", "c"]


def test_gaps():
    """What no picture shows, what hangs by a hair, and what was not taken."""
    pictures = [*line(), sighting("shaky", {3: 0.9}, steady=False), sighting("more", {4: 0.9})]
    classes = (*CLASSES, "burr", "bubble", "crack")
    found = gaps(pictures, classes, ["003", "007", "013"])
    assert (found.unseen, found.shaky, found.left) == (["crack"], ["burr"], ["bubble"])
    assert gaps(pictures, classes, ["more"]).left == list(CLASSES)
