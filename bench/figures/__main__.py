"""Writes the tables between the marks in docs/performance.md, and docs/plots/*.svg."""

import re
from pathlib import Path
from typing import Annotated

import typer

from figures.plots import plots
from figures.tables import table

DOCS = Path(__file__).parent.parent.parent / "docs"
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(
    check: Annotated[bool, typer.Option("--check", help="Writes nothing; exit code 1 when something is old.")] = False,
) -> None:
    """Brings the document up to date with the records."""
    page = DOCS / "performance.md"
    drawn = dict(plots())
    images = "\n".join(f"![{name}](plots/{name}.svg)" for name in drawn)
    wanted = {DOCS / "plots" / f"{name}.svg": svg for name, svg in drawn.items()}
    wanted[page] = MARKED.sub(
        lambda found: f"{found[1]}{images if found[2] == 'plots' else table(found[2])}\n{found[3]}", page.read_text()
    )
    old = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in old:
        print(f"{'old' if check else 'written'}: {path.relative_to(DOCS.parent)}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path])
    if check and old:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
