"""Numbers for people, and tables of them that fit 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80


def short(value: float | None) -> str:
    """A loss, or another number of any size, with three or four digits that matter; nothing for None."""
    if value is None or value == 0:
        return "" if value is None else "0"
    return f"{value:.4f}" if 1e-2 <= abs(value) < 1e4 else f"{value:.2e}"


def percent(fraction: float | None) -> str:
    """A fraction in per cent; nothing for None."""
    return "" if fraction is None else f"{100 * fraction:.1f} %"


def size(n_bytes: int) -> str:
    """A file's size in the unit that fits."""
    for unit, factor in (("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}" if n_bytes < 100 * factor else f"{n_bytes / factor:.0f} {unit}"
    return f"{n_bytes} bytes"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart under their header, the first one to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]).rstrip()
        for line in lines
    )
