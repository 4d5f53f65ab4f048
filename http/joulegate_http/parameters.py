"""What a route takes from the path and the query, as a struct: read from requests, and described in the document.

A field whose name stands in the route's path comes from there, the others from the query. Its type says what is accepted: one of
`rules`, an `int` with bounds, or a literal.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec.inspect import Field, IntType, LiteralType, Metadata, NoneType, StructType, Type, UnionType
from starlette.datastructures import QueryParams
from starlette.requests import Request

from joulegate_http.codes import Code
from joulegate_http.problems import ProblemError
from joulegate_http.rules import Read, Rule, choice, whole_number

MOST_NAMED = 5
LONGEST_NAME = 40
"""How much of what a client made up is repeated to it."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what routes take; by itself: nothing."""


ParametersT = TypeVar("ParametersT", bound=Parameters)


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: `name` as the client writes it, `field` in the struct, `schema` in JSON Schema."""

    name: str
    field: str
    in_path: bool
    read: Read
    codes: tuple[Code, ...]
    schema: dict[str, Any]


class ParameterReader(Generic[ParametersT]):
    """Reads `kind` from the requests of a route with this path."""

    def __init__(self, kind: type[ParametersT], path: str) -> None:
        self._kind = kind
        fields = cast("StructType", msgspec.inspect.type_info(kind)).fields
        schemas = msgspec.json.schema_components([kind])[1][kind.__name__]["properties"]
        parameters = [_parameter(one, schemas[one.encode_name], path) for one in fields]
        self._of_path = [one for one in parameters if one.in_path]
        self._of_query = [one for one in parameters if not one.in_path]
        self._known = sorted(one.name for one in self._of_query)

    @property
    def parameters(self) -> list[Parameter]:
        """Those of the path, then those of the query."""
        return [*self._of_path, *self._of_query]

    @property
    def codes(self) -> set[Code]:
        """What a request may be refused with. A path with a wrong number of parts is that of no route."""
        always = {Code.UNKNOWN_PARAMETER, Code.REPEATED_PARAMETER} | ({Code.NOT_FOUND} if self._of_path else set())
        return always.union(*(one.codes for one in self.parameters))

    def read(self, request: Request) -> ParametersT:
        """The parameters, each by its rule, with the struct's defaults for those that are not given.

        Raises:
            ProblemError: one of `codes`.
        """
        path, query = request.path_params, request.query_params
        values = {one.field: one.read(one.name, path[one.name]) for one in self._of_path}
        _require_known(query, self._known)
        values |= {one.field: one.read(one.name, query[one.name]) for one in self._of_query if one.name in query}
        return self._kind(**values)


def _parameter(field: Field, schema: dict[str, Any], path: str) -> Parameter:
    kind, schema = _given(field.type, schema)
    rule = _rule(kind)
    return Parameter(field.encode_name, field.name, f"{{{field.encode_name}}}" in path, rule.read, rule.codes, schema)


def _given(kind: Type, schema: dict[str, Any]) -> tuple[Type, dict[str, Any]]:
    """What a parameter is when it is given: None, its default, is not something that a client can write."""
    if not isinstance(kind, UnionType):
        return kind, schema
    [given] = [one for one in kind.types if not isinstance(one, NoneType)]
    return given, next(one for one in schema["anyOf"] if one != {"type": "null"})


def _rule(kind: Type) -> Rule:
    match kind:
        case Metadata(extra={"rule": Rule() as rule}):
            return rule
        case Metadata(type=inner):
            return _rule(inner)
        case IntType(ge=int(least), le=int(most)):
            return whole_number(least, most)
        case LiteralType(values=values):
            return choice([str(value) for value in values])
        case _:
            raise TypeError(f"{kind} is not a kind of parameter")


def _require_known(query: QueryParams, known: Sequence[str]) -> None:
    """Refuses parameters that the route does not know, so that a misspelt one is not silently ignored, and repeated ones."""
    counts = Counter(name for name, _ in query.multi_items())
    if unknown := sorted(counts.keys() - set(known)):
        knows = f"it knows {' and '.join(known)}" if known else "it takes none"
        raise ProblemError(Code.UNKNOWN_PARAMETER, f"This route does not know the parameter {_some(unknown)}: {knows}.")
    if repeated := sorted(name for name, count in counts.items() if count > 1):
        raise ProblemError(Code.REPEATED_PARAMETER, f"The parameter {_some(repeated)} is given more than once.")


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return ", ".join([*(name[:LONGEST_NAME] for name in names[:MOST_NAMED]), *more])
