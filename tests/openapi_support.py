"""The API's own document as a judge of its answers, and a database with something of everything in it."""

import re
from typing import Any

import httpx
import jsonschema_rs

from fleet_support import plant
from http_support import Json, Reading, at, meter, vehicle

SEEDED_UNTIL = 60
"""The last minute that is seeded: what an application's clock should show."""


class Contract:
    """The document at /openapi.json; `check` holds a response against it."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.seen: set[tuple[str, int]] = set()
        """Operations by name, with the statuses that were checked."""

    @classmethod
    async def of(cls, api: httpx.AsyncClient) -> "Contract":
        """The contract of what `api` talks to."""
        response = await api.get("/openapi.json")
        assert response.status_code == 200
        return cls(response.json())

    @property
    def operations(self) -> dict[str, Json]:
        """All operations by name, with `method` and `path`."""
        return {
            operation["operationId"]: {**operation, "method": method.upper(), "path": path}
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }

    def check(self, response: httpx.Response) -> httpx.Response:
        """The status is declared for the operation, with this media type, these headers and this JSON. Returns the response."""
        operation = self._operation(response.request)
        declared = operation["responses"][str(response.status_code)]
        self.seen.add((operation["operationId"], response.status_code))
        for name, reference in declared["headers"].items():
            schema = self._component(reference["$ref"])["schema"]
            text = response.headers[name]
            self._validate(schema, int(text) if schema["type"] == "integer" else text)
        if "content" not in declared:
            assert response.content == b""
            return response
        [(media_type, content)] = declared["content"].items()
        assert response.headers["content-type"].partition(";")[0] == media_type
        if "schema" in content and response.request.method != "HEAD":
            self._validate(content["schema"], response.json())
        return response

    def _operation(self, request: httpx.Request) -> Json:
        method = "GET" if request.method == "HEAD" else request.method
        for operation in self.operations.values():
            template = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(operation["path"]))
            if operation["method"] == method and re.fullmatch(template, request.url.path):
                return operation
        raise AssertionError(f"the document has no {request.method} {request.url.path}")

    def _component(self, reference: str) -> Json:
        found: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert isinstance(found, dict)
        return found

    def _validate(self, schema: Json, value: Any) -> None:
        whole = {"allOf": [schema], "components": self.document["components"]}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


async def seed(url: str) -> None:
    """Half a day of two pairs, one of which loses a third; rolled, attributed, and with an alert."""
    readings: list[Reading] = [
        reading
        for minute in range(SEEDED_UNTIL - 13 * 60, SEEDED_UNTIL)
        for number, ratio in ((1, 0.93), (2, 0.66))
        for reading in (
            meter(minute, 0.2, f"m-{number}", f"cp-{number}"),
            vehicle(minute, 0.2 * ratio, f"v-{number}", f"cp-{number}"),
        )
    ]
    async with plant(url) as one:
        await one.write(*readings, received=at(SEEDED_UNTIL))
        await one.settle(SEEDED_UNTIL)
        evaluated = await one.evaluate(at(SEEDED_UNTIL))
    assert evaluated.opened == {"low_efficiency": 1}
