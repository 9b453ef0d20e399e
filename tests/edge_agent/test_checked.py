"""edge_agent.checked: every fault is listed, nothing of the wrong type gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.checked import Fields, canonical_json, nearest, plural


def test_all_faults_are_listed_with_their_place():
    """A document with three faults gives three messages, each with its place."""
    fields = Fields({"a": "x", "table": {"n": 7}, "list": [{"k": 1}, 5]})
    fields.integer("a")
    fields.table("table").integer("n", most=5)
    for item in fields.tables("list"):
        item.integer("k")
    assert fields.faults == [
        'a: should be a whole number, is a text "x"',
        "table.n: 7 is above the most allowed, 5",
        "list[1]: should be a table, is a number",
        "list[1].k: is missing; it should be a whole number",
    ]


def test_unknown_key_names_the_nearest():
    """A misspelt key is a fault that says what was probably meant."""
    fields = Fields({"treshold": 1})
    fields.number("threshold", 0.5)
    fields.close()
    assert fields.faults == ['treshold: is not a known key; did you mean "threshold"?']


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), [1], {}])
def test_number_refuses_what_is_not_a_finite_number(value):
    """Booleans, texts and NaN are no numbers."""
    fields = Fields({"x": value})
    fields.number("x")
    assert len(fields.faults) == 1


def test_defaults_stand_in_for_absent_and_null():
    """An absent or null field takes its default without a fault."""
    fields = Fields({"b": None})
    got = (fields.integer("a", 3), fields.text("b", "t"), fields.boolean("c", True))
    assert got == (3, "t", True)
    assert fields.faults == []


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)  # no float holds it
    | st.floats()
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_getters_always_give_their_type(value):
    """Whatever a document holds, a getter returns its own type and never raises."""
    fields = Fields({"x": value})
    assert type(fields.integer("x")) is int
    assert type(fields.number("x")) in (int, float)
    assert type(fields.text("x")) is str
    assert type(fields.boolean("x")) is bool
    assert type(fields.texts("x")) is tuple
    assert type(fields.numbers("x")) is tuple
    assert type(fields.number_lists("x")) is tuple
    assert type(fields.rows("x", width=2)) is tuple
    assert isinstance(fields.table("x"), Fields)
    assert type(fields.tables("x")) is list


def test_canonical_json_is_independent_of_order():
    """The same content gives the same bytes."""
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1})


def test_nearest_is_silent_when_nothing_is_close():
    """No hint is better than a silly one."""
    assert nearest("zzz", ["alpha", "beta"]) == ""


def test_rows_are_lists_of_numbers_of_one_width():
    """Right rows come back as floats; any other is one fault and nothing."""
    fields = Fields(
        {"good": [[1, 2.5]], "short": [[1]], "text": [[1, "x"]], "huge": [[1, 10**400]]}
    )
    assert fields.rows("good", width=2) == ((1.0, 2.5),)
    assert fields.faults == []
    for count, name in enumerate(("short", "text", "huge", "missing"), start=1):
        assert fields.rows(name, width=2) == ()
        assert len(fields.faults) == count and name in fields.faults[-1]


def test_whole_numbers_have_64_bits():
    """A number that no database holds is a fault, in a short line."""
    fields = Fields({"x": 10**400, "y": -(10**400), "z": 2**63 - 1})
    fields.integer("x")
    fields.integer("y", most=5)
    assert fields.integer("z") == 2**63 - 1
    assert len(fields.faults) == 2 and max(map(len, fields.faults)) < 150


def test_counts_as_people_say_them():
    """One camera is not "1 cameras"."""
    assert [plural(n, "camera") for n in (0, 1, 2)] == ["0 cameras", "1 camera", "2 cameras"]
