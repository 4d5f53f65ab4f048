"""`make figures`: docs/performance.md's tables and plots, from the records in bench/*.json and from nothing else.

`python -m figures.curves` measures the points of the plots (`bench/curves.json`); `python -m figures` writes the document.
"""
