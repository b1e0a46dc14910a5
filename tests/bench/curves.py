# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Curves of what was measured at several sizes, as SVG: logarithmic sizes, values from zero."""
import math

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 40, 50
COLOURS = "#0b61a4", "#b5490b", "#2d7a2d", "#7a2d7a"


class Curve:
    """`series`: for each label its points, (size, value). `file`: the picture's name, without its ending."""

    def __init__(self, file, title, sizes, values, series):
        self.file, self.title, self.sizes, self.values, self.series = file, title, sizes, values, series


def round_up(value):
    """The next of 1, 2, 5, 10, 20, …"""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.999)


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{more}>{words}</text>'


def line(x, y, to_x, to_y, colour):
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def svg(curve):
    """The picture, as a text."""
    sizes = sorted({size for points in curve.series.values() for size, _ in points})
    top = round_up(max(value for points in curve.series.values() for _, value in points))
    low, high = math.log(sizes[0]), math.log(sizes[-1])

    def across(size):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(size) - low) / (high - low or 1)

    def up(value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
    parts = [text(LEFT, 22, curve.title, "start", ' font-weight="bold"'),
             text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, curve.sizes), text(LEFT, TOP - 4, curve.values, "end")]
    for step in range(5):
        value = top * step / 4
        parts += [line(LEFT, up(value), WIDTH - RIGHT, up(value), "#dddddd"),
                  text(LEFT - 6, up(value) + 4, f"{value:.3g}", "end")]
    parts += [text(across(size), HEIGHT - BOTTOM + 18, f"{size:,}") for size in sizes]
    for colour, (label, points) in zip(COLOURS, curve.series.items()):
        path = " ".join(f"{across(size):.1f},{up(value):.1f}" for size, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(size):.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"/>'
                  for size, value in points]
        size, value = points[-1]
        parts.append(text(across(size) + 8, up(value) + 4, label, "start", f' fill="{colour}"'))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="sans-serif" font-size="12">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
