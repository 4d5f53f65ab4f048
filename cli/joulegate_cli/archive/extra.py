"""pyarrow is an extra: without it the command says how to get it."""

from importlib.util import find_spec

from joulegate_core.errors import JoulegateError


class MissingExtraError(JoulegateError):
    """pyarrow is not installed."""


def require_pyarrow() -> None:
    """Raises MissingExtraError when it is not there."""
    if find_spec("pyarrow") is None:
        raise MissingExtraError("archives need pyarrow, the extra `archive`: pip install 'joulegate[archive]'")
