"""A line plot as an SVG, without a library: a few points over a logarithmic axis, the values written beside them."""

import math
from collections.abc import Iterator, Sequence
from html import escape

import msgspec

WIDTH, HEIGHT = 640, 330
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 46, 52
COLOURS = ("#1668b8", "#c2571a", "#2c8a4b")
FONT = 'font-family="sans-serif" font-size="12"'


class Line(msgspec.Struct, frozen=True):
    """A name, and its points."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(title: str, x_title: str, lines: Sequence[Line]) -> str:
    """The plot; the y axis begins at 0, the x axis is logarithmic."""
    xs = sorted({x for line in lines for x, _ in line.points})
    top = _nice(max(y for line in lines for _, y in line.points))
    low, high = math.log(xs[0]), math.log(xs[-1])

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log(x) - low) / (high - low or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT - 40) + 20, HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>',
    ]
    for step in range(5):
        value = top * step / 4
        y = at(xs[0], value)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(value)}</text>')
    parts += [
        f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_text(x)}</text>' for x in xs
    ]
    for number, line in enumerate(lines):
        placed = [(*at(x, y), y) for x, y in line.points]
        parts += _line(line.name, placed, COLOURS[number % len(COLOURS)], LEFT + 190 * number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(name: str, placed: Sequence[tuple[float, float, float]], colour: str, legend: int) -> Iterator[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in placed)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y, value in placed:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
        yield f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle" fill="{colour}">{_text(value)}</text>'
    yield f'<text x="{legend}" y="38" fill="{colour}">&#9679; {escape(name)}</text>'


def _nice(value: float) -> float:
    """The next number with one digit that is not 0 above `value`, with room for the labels."""
    power = 10.0 ** math.floor(math.log10(value or 1))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value * 1.08)


def _text(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}"
