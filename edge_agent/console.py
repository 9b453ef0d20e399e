"""What the three commands share: one exit point, plain tables, colour only where a person looks.

A command's ``main()`` is ``return run_cli(group, argv)`` and nothing else. Inside, code raises
`OutpostError`; here it becomes one line on stderr and its exit code (edge_agent.errors).
"""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import IO, Any

import click

from edge_agent.errors import OutpostError

INTERRUPTED = 130
BUG = 70  # EX_SOFTWARE
TABLE_COLUMNS = 100
_LEAST_WRAPPED = 24  # a narrower column of text is harder to read than a long line
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}

debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show tracebacks (also OUTPOST_DEBUG=1).",
)


def run_cli(group: click.Command, argv: Sequence[str] | None = None) -> int:
    """Run a click command; the only place that turns errors into lines and exit codes.

    Args:
        group: the command; decorate it with `debug_option`.
        argv: arguments without the program's name; ``sys.argv[1:]`` when None.

    Returns:
        The exit code: 0, that of the `OutpostError`, 2 for a wrong call, 130 for Ctrl-C, or
        `BUG` for anything else. A command sets its own by ``ctx.exit(code)``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = group.name or "outpost"
    debug = "--debug" in arguments or os.environ.get("OUTPOST_DEBUG") == "1"
    try:
        code = group.main(arguments, prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        complaint, code = _explain(name, error)
    if not debug and code == BUG:
        complaint += "; run it again with --debug and report what it prints"
    print(complaint, file=sys.stderr)
    return int(code)


def _explain(name: str, error: BaseException) -> tuple[str, int]:
    if isinstance(error, OutpostError):
        return f"{name}: {error}", error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message(), error.exit_code
    if isinstance(error, click.ClickException):
        return _wrong_call(name, error), error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return f"{name}: interrupted", INTERRUPTED
    return f"{name}: this is a bug: {type(error).__name__}: {error}", BUG


def _wrong_call(name: str, error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else name
    return f"{path}: {error.format_message().rstrip('.')}; see `{path} --help`"


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as aligned plain text; numbers to the right, everything else to the left.

    The last column goes on below itself where the table would be wider than `TABLE_COLUMNS`.

    Args:
        headers: one title per column.
        rows: cells; None is shown as ``-``.
    """
    texts = _wrapped(
        headers, [["-" if cell is None else str(cell) for cell in row] for row in rows]
    )
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[i], (int, float, type(None))) for row in rows)
        for i in range(len(headers))
    ]
    lines = [headers, ["-" * width for width in widths], *texts]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _wrapped(headers: Sequence[str], texts: list[list[str]]) -> list[list[str]]:
    """The rows, with lines added where the last cell is too long for what the others leave."""
    taken = [max(map(len, column)) for column in zip(headers, *texts, strict=True)][:-1]
    room = max(TABLE_COLUMNS - sum(taken) - 2 * len(taken), _LEAST_WRAPPED)
    lines: list[list[str]] = []
    for row in texts:
        first, *rest = textwrap.wrap(row[-1], room) or [""]
        lines.append([*row[:-1], first])
        lines += [[""] * len(taken) + [text] for text in rest]
    return lines


def paint(text: str, colour: str, stream: IO[str] | None = None) -> str:
    """Colour for a terminal; the bare text when ``stream`` is a file, a pipe or NO_COLOR is set.

    Args:
        text: what to show.
        colour: red, green, yellow, blue, dim or bold.
        stream: where it goes; stdout when None.
    """
    target = sys.stdout if stream is None else stream
    if not target.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"
