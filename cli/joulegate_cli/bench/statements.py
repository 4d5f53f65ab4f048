"""The SQL of the benches: `sql/{name}.sql`."""

from functools import cache
from importlib.resources import files

_STATEMENTS = files("joulegate_cli") / "bench" / "sql"


@cache
def statement(name: str) -> str:
    """The text of `sql/{name}.sql`. Raises FileNotFoundError for a name that does not exist."""
    return (_STATEMENTS / f"{name}.sql").read_text(encoding="utf-8")
