"""The SQL of this package: one statement a file, found by the file's name."""

from functools import cache
from importlib.resources import files

_QUERIES = files("joulegate_db") / "queries"


@cache
def query(name: str) -> str:
    """The text of `queries/{name}.sql`. Raises FileNotFoundError for a name that does not exist."""
    return (_QUERIES / f"{name}.sql").read_text(encoding="utf-8")
