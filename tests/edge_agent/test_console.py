"""The single exit point and the table printer."""

from __future__ import annotations

import io

import click
import pytest

from edge_agent import console
from edge_agent.errors import ConfigError


def command(action):
    @click.group(name="edge-test")
    @console.debug_option
    def group():
        """A command."""

    @group.command()
    @click.option("--count", type=int)
    @click.pass_context
    def go(ctx, count):
        """Go."""
        return action(ctx)

    return group


def fail(error):
    def action(ctx):
        raise error

    return action


@pytest.mark.parametrize(
    ("action", "argv", "code", "words"),
    [
        (lambda ctx: None, ["go"], 0, ""),
        (lambda ctx: ctx.exit(1), ["go"], 1, ""),
        (fail(ConfigError("a.toml: bad")), ["go"], 3, "edge-test: a.toml: bad"),
        (fail(KeyboardInterrupt()), ["go"], 130, "interrupted"),
        (fail(ZeroDivisionError("x")), ["go"], 70, "this is a bug: ZeroDivisionError: x"),
        (lambda ctx: None, ["go", "--cuont", "1"], 2, "edge-test go: No such option"),
        (lambda ctx: None, ["gp"], 2, "see `edge-test --help`"),
    ],
)
def test_each_ending_has_its_code_and_at_most_one_line(action, argv, code, words, capsys):
    """Whatever happens inside, a person reads one line and a script reads a code."""
    assert console.run_cli(command(action), argv) == code
    errors = capsys.readouterr().err
    assert words in errors
    # click ends the terminal's "^C" line with a newline of its own
    assert len(errors.strip().splitlines()) <= 1


@pytest.mark.parametrize("how", ["--debug", "environment"])
def test_debug_shows_the_traceback(how, capsys, monkeypatch):
    """Tracebacks come only on request."""
    argv = ["go"]
    if how == "environment":
        monkeypatch.setenv("OUTPOST_DEBUG", "1")
    else:
        argv = ["--debug", "go"]
    assert console.run_cli(command(fail(ConfigError("bad"))), argv) == 3
    assert "Traceback" in capsys.readouterr().err


def test_no_arguments_shows_the_help(capsys):
    """Somebody who types only the command is told what there is."""
    assert console.run_cli(command(lambda ctx: None), []) == 2
    assert "go" in capsys.readouterr().err


def test_table_aligns_numbers_right_and_shows_absence():
    """Columns line up; None is a dash, not the word None."""
    text = console.table(("name", "ms"), [("a", 5), ("long", None), ("b", 120)])
    assert text.splitlines() == ["name   ms", "----  ---", "a       5", "long    -", "b     120"]


def test_a_long_last_column_goes_on_below_itself():
    """A table is never wider than a terminal, and loses no word."""
    reason = "the network's output holds NaN or Inf " * 5
    text = console.table(("version", "state", "reason"), [(3, "FAILED", reason), (4, "LIVE", "")])
    lines = text.splitlines()
    assert max(map(len, lines)) <= console.TABLE_COLUMNS
    assert all(line.startswith(" " * 17) for line in lines[3:-1]) and lines[-1].split() == [
        "4",
        "LIVE",
    ]
    assert " ".join(" ".join(line[17:] for line in lines[2:-1]).split()) == reason.strip()


def test_colour_only_on_a_terminal(monkeypatch):
    """Files and pipes get the bare text; so does a terminal with NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    assert console.paint("bad", "red", io.StringIO()) == "bad"
    assert console.paint("bad", "red", terminal) == "\x1b[31mbad\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.paint("bad", "red", terminal) == "bad"
