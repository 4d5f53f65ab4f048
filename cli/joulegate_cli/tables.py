"""Plain tables on standard output: columns as wide as their cells, never cut, so that lines can be searched and pasted."""

from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], footer: str) -> None:
    """Prints `rows` under `header`, and `footer`; a cell is never wrapped."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for cells in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    print(footer)
