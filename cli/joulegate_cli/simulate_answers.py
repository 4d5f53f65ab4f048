"""What the HTTP API says of a simulated fleet, for `joulegate simulate score`."""

import http.client
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joulegate_core.errors import JoulegateError
from joulegate_simulator.score import Point, RaisedAlert

POINTS_DAYS = 10
"""An answer has at most 1,000 points: ten days of quarters of an hour are 960."""

TIMEOUT_SECONDS = 30


class HttpAnswers:
    """The HTTP API over one connection. `asked` is called after each vehicle.

    Raises:
        JoulegateError: it cannot be reached, or answers with an error; it says which.
    """

    def __init__(self, url: str, *, asked: Any = lambda: None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise JoulegateError(f"--url {url} is not valid: expected http[s]://host[:port]")
        self._url = url
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        self._asked = asked

    def close(self) -> None:
        """Closes the connection; the next question opens one again."""
        self._connection.close()

    def series(self, vehicle_id: str, start: datetime, end: datetime) -> Mapping[datetime, Point]:
        """The vehicle's quarters of an hour."""
        points: dict[datetime, Point] = {}
        path = f"/v1/analytics/performance/{quote(vehicle_id)}/series"
        while start < end:
            until = min(end, start + timedelta(days=POINTS_DAYS))
            answer = self._get(path, {"from": _text(start), "to": _text(until), "bucket": "15m"})
            for point in () if answer is None else answer["points"]:
                at = datetime.fromisoformat(point["window"]["from"])
                points[at] = Point(point["totalKwhConsumedAc"], point["totalKwhDeliveredDc"])
            start = until
        self._asked()
        return points

    def alerts(self) -> Iterator[RaisedAlert]:
        """All alerts."""
        question = {"state": "all", "limit": "1000"}
        while (page := self._get("/v1/alerts", question)) is not None:
            for alert in page["alerts"]:
                yield RaisedAlert(alert["kind"], alert["device"], datetime.fromisoformat(alert["openedAt"]))
            if page["nextCursor"] is None:
                return
            question["cursor"] = page["nextCursor"]

    def _get(self, path: str, question: Mapping[str, str]) -> Any:
        """The answer, None for one that is not found."""
        for attempt in (1, 2):
            try:
                self._connection.request("GET", f"{path}?{urlencode(question)}")
                response = self._connection.getresponse()
                body = response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()  # an idle connection may have been closed by the service
                if attempt == 2:  # noqa: PLR2004
                    raise JoulegateError(
                        f"{self._url} cannot be asked ({error}): start `joulegate http`, or give --url"
                    ) from None
        if response.status == http.client.NOT_FOUND:
            return None
        if response.status != http.client.OK:
            raise JoulegateError(f"{self._url}{path} answered {response.status}: {body[:300].decode(errors='replace')}")
        return json.loads(body)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
