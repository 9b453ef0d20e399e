"""Tables and sections in HTML; every text that they are given is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_WIDE = 40
_MANY = 4


def section(title: str, *parts: str) -> str:
    """A heading and what is below it; nothing when that is empty."""
    return f"<h2>{escape(title)}</h2>{''.join(parts)}" if any(parts) else ""


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Names and words, one line each."""
    body = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f'<div class="card"><table class="pairs">{body}</table></div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a wide one becomes a list on narrow screens, its cells named by ``data-of``."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    names = head or [""] * max((len(row) for row in rows), default=0)
    body = "".join(f"<tr>{''.join(map(_cell, row, names))}</tr>" for row in rows)
    top = f"<thead><tr>{top}</tr></thead>" if head else ""
    wide = len(head) > _MANY or any(len(cell) > _WIDE for row in rows for cell in row)
    kind = ' class="stack"' if head and wide else ""
    return f'<div class="card"><table{kind}>{top}<tbody>{body}</tbody></table></div>'


def _cell(text: str, name: str) -> str:
    """Long texts may wrap, at a width at which they can be read."""
    wide = ' class="wide"' if len(text) > _WIDE else ""
    of = f' data-of="{escape(name)}"' if name else ""
    return f"<td{wide}{of}>{escape(text)}</td>"


def number(value: object) -> str:
    """A value of a document as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {number(one)}" for key, one in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
