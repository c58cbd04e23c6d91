"""A run as people read it: a timeline of what happened, as text and as a page of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from quorate.simulation.evidence import Evidence, Operation, Outcome, Violation
from quorate.simulation.scheduler import SECOND

AROUND_NS: Final = 3 * SECOND
LINES_MAX: Final = 60
_COLOURS: Final = {Outcome.OK: "#2a7", Outcome.FAILED: "#aaa", Outcome.UNKNOWN: "#d80"}
_STYLE: Final = (
    "body{font:14px sans-serif;margin:2em}.row{position:relative;height:18px;border-bottom:"
    "1px solid #eee}.name{position:absolute;left:0;width:60px}.line{position:absolute;left:70px;"
    "right:0;height:18px}.op{position:absolute;height:12px;top:3px;min-width:2px;opacity:.8}"
    ".bad{position:absolute;top:0;bottom:0;width:2px;background:#c00}pre{background:#f7f7f7;"
    "padding:1em;overflow:auto}"
)


def timeline(lines: Sequence[tuple[int, str]], violation: Violation) -> str:
    """Return what happened around a violation, one line each, times in seconds."""
    begin = violation.at - AROUND_NS
    near = [line for line in lines if begin <= line[0] <= violation.at] or list(lines)
    shown = [f"{at / SECOND:10.4f}  {text}" for at, text in near[-LINES_MAX:]]
    shown.append(f"{violation.at / SECOND:10.4f}  VIOLATION of {violation.checker}")
    shown.append(f"{'':10}  {violation.text}")
    return "\n".join(shown)


def page(evidence: Evidence, lines: Sequence[tuple[int, str]], command: str, end: int) -> str:
    """Return the history of a run as one HTML page; `end` is the time of its last moment (ns)."""
    rows = []
    clients = dict.fromkeys(operation.client for operation in evidence.operations)
    for client in clients:
        marks = "".join(
            _mark(operation, end) for operation in evidence.operations if operation.client == client
        )
        rows.append(_row(client, marks))
    faults = "".join(
        f'<div class="op" style="left:{_percent(at, end)}%;background:#93c" '
        f'title="{escape(f"{at / SECOND:.3f} s: {text}")}"></div>'
        for at, text in lines
    )
    rows.append(_row("events", faults))
    rows += [
        _row(
            "broken",
            f'<div class="bad" style="left:{_percent(each.at, end)}%" '
            f'title="{escape(each.text)}"></div>',
        )
        for each in evidence.violations
    ]
    found = "".join(
        f"<li><b>{escape(each.checker)}</b> at {each.at / SECOND:.4f} s: {escape(each.text)}</li>"
        for each in evidence.violations
    )
    story = escape("\n".join(f"{at / SECOND:10.4f}  {text}" for at, text in lines))
    return (
        f"<!doctype html><meta charset=utf-8><title>{escape(command)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(command)}</h1><ul>{found}</ul>"
        f"{''.join(rows)}<h2>What happened</h2><pre>{story}</pre>"
    )


def _row(name: str, marks: str) -> str:
    return (
        f'<div class="row"><div class="name">{escape(name)}</div>'
        f'<div class="line">{marks}</div></div>'
    )


def _mark(operation: Operation, end: int) -> str:
    returned = operation.returned if operation.returned >= 0 else end
    width = max(0.05, _percent(returned, end) - _percent(operation.called, end))
    title = (
        f"{operation.kind.value} {operation.key.decode(errors='replace')} "
        f"{(operation.value or operation.found).decode(errors='replace')} "
        f"revision {operation.revision}: {operation.outcome.value}, "
        f"{operation.called / SECOND:.4f} to {returned / SECOND:.4f} s"
    )
    return (
        f'<div class="op" style="left:{_percent(operation.called, end)}%;width:{width:.3f}%;'
        f'background:{_COLOURS[operation.outcome]}" title="{escape(title)}"></div>'
    )


def _percent(at: int, end: int) -> float:
    return round(100.0 * at / max(end, 1), 3)
