"""The language of rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.expression import Compare, Join, Not, evaluate, names, parse


def test_a_rule_of_each_kind():
    """Dots are underscores, budget is drift's limit, durations are windows or seconds."""
    when = parse("psi.score > 0.2 for 3 windows")
    assert when.condition == Compare("psi_score", ">", 0.2)
    assert (when.windows, when.seconds) == (3, 0.0)
    when = parse("camera_up < 1 for 30 s")
    assert (when.windows, when.seconds) == (1, 30.0)
    assert parse("a > 1 for 2 min").seconds == 120 and parse("a>1 for 1.5 h").seconds == 5400
    assert parse("psi.score > budget").condition == Compare("psi_score", ">", "psi_limit_score")
    assert parse("budget<psi_score").condition == Compare("psi_limit_score", "<", "psi_score")


def test_and_binds_tighter_than_or():
    """As in Python; parentheses and not do as there."""
    a, b, c = (Compare(name, ">", 1.0) for name in "abc")
    assert parse("a>1 or b>1 and c>1").condition == Join("or", (a, Join("and", (b, c))))
    assert parse("(a>1 or b>1) and not c>1").condition == Join("and", (Join("or", (a, b)), Not(c)))
    assert names(parse("a>1 or b>a and not c>1").condition) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a metric or a number is missing after the beginning"),
        ("a", 'is missing after "a"'),
        ("a > ", 'a metric or a number is missing after ">"'),
        ("1 > 2", "1 > 2 looks at no metric"),
        ("a = 2", '"= 2" is not understood'),
        ("a ; import os", '"; import os" is not understood'),
        ("a > 1 b", '"b" is not expected after "1"'),
        ("((a > 1)", '")" is missing after ")"'),
        ("a and b", '"and" should be one of'),
        ("a > and", '"and" should be a metric or a number'),
        ("a > 1 for 2.5 windows", "should be a whole number of windows"),
        ("a > 1 for 0 windows", "should be a whole number of windows"),
        ("a > 1 for 3 weeks", "should be like"),
        ("a > 1 for", 'a number is missing after "for"'),
        ("a > budget", '"budget" is known for psi.<feature> only'),
        ("a > 1e", "is not understood"),
        ("(" * 30 + "a > 1" + ")" * 30, "conditions inside each other"),
        ("not " * 30 + "a > 1", "conditions inside each other"),
    ],
)
def test_each_fault_says_where(text, message):
    """In words for the person who wrote it."""
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert message in str(caught.value)


@given(st.text(alphabet="ab1. <>=!()andort-for s", max_size=60))
def test_any_text_is_a_rule_or_a_fault(text):
    """Nothing else comes out."""
    try:
        when = parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert names(when.condition)


@pytest.mark.parametrize(
    ("text", "readings", "result"),
    [
        ("a > 1", {"a": 2}, True),
        ("a > 1", {"a": 1}, False),
        ("a >= 1", {"a": 1}, True),
        ("a != 1", {"a": 1}, False),
        ("a > 1", {}, None),
        ("not a > 1", {}, None),
        ("a > 1 and b > 1", {"a": 0}, False),
        ("a > 1 and b > 1", {"a": 2}, None),
        ("a > 1 or b > 1", {"a": 2}, True),
        ("a > 1 or b > 1", {"a": 0}, None),
        ("a > 1 or b > 1", {"a": 0, "b": 0}, False),
    ],
)
def test_absent_readings_are_neither_true_nor_false(text, readings, result):
    """Kleene's logic: what is certain without them is certain."""
    assert evaluate(parse(text).condition, readings) is result
