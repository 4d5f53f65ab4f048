"""Who may call what, and how often: tokens with roles, and a bound on questions that cost much."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.types import Scope

from joulegate_core.tokens import ApiToken, Role, find_token
from joulegate_http.codes import Code
from joulegate_http.problems import ProblemError
from joulegate_http.request_headers import header

REALM = 'Bearer realm="joulegate"'

BURST_SECONDS = 10
"""A caller that was quiet may ask at once for what its rate allows in so long: a page that opens asks several questions."""

LEAST_BURST = 10.0
"""As much as the dearest operation costs, or a small rate would never allow it."""

MOST_CALLERS = 10_000
"""Buckets that are kept, a few hundred bytes each. The one that was used least recently goes; it is the fullest, too."""

Monotonic = Callable[[], float]
"""Seconds that only grow."""


class RateLimiter:
    """A token bucket for each caller: `rate` units a second flow in, `BURST_SECONDS` of them fit.

    Args:
        rate: 0 turns it off.
    """

    def __init__(self, rate: float, *, clock: Monotonic = time.monotonic, most_callers: int = MOST_CALLERS) -> None:
        self._rate = rate
        self._burst = max(rate * BURST_SECONDS, LEAST_BURST)
        self._clock = clock
        self._most_callers = most_callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Units and when they were counted."""

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, caller: str, cost: float) -> float:
        """Takes `cost` and returns 0; or takes nothing and returns in how many seconds there will be enough."""
        if not self._rate:
            return 0.0
        now = self._clock()
        units, counted = self._buckets.get(caller, (self._burst, now))
        units = min(self._burst, units + (now - counted) * self._rate)
        missing = cost - units
        self._keep(caller, units if missing > 0 else units - cost, now)
        return max(0.0, missing / self._rate)

    def _keep(self, caller: str, units: float, now: float) -> None:
        self._buckets[caller] = (units, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._most_callers:
            self._buckets.popitem(last=False)


class Gate:
    """What is asked of callers. Without tokens: that they are no other's page.

    Args:
        rate: units of cost a second for each caller (see `Operation.cost`); 0: as many as they like.
        origins: of pages that may call; `*`: all.
    """

    def __init__(self, tokens: Sequence[ApiToken] = (), rate: float = 0, origins: frozenset[str] = frozenset()) -> None:
        self._tokens = tokens
        self._limiter = RateLimiter(rate)
        self._origins = origins

    @property
    def is_closed(self) -> bool:
        """Whether callers need a token."""
        return bool(self._tokens)

    def identify(self, scope: Scope) -> ApiToken | None:
        """The token that came with a request, None without one of ours."""
        given = _bearer(scope) if self._tokens else None
        return find_token(self._tokens, given) if given else None

    def admit(self, request: Request, role: Role | None) -> None:
        """Lets the request pass when its token has the role.

        Raises:
            ProblemError: `unauthorized`, `forbidden`; with the challenge of RFC 6750.
        """
        if role is None:
            return
        if not self._tokens:
            if role == "operate":
                self._require_own_page(request)
            return
        token: ApiToken | None = request.state.token
        if token is None:
            raise _unauthorized(is_given=_bearer(request.scope) is not None)
        if not token.may(role):
            raise ProblemError(
                Code.FORBIDDEN,
                f"The token {token.name} has the role {token.role}; this needs one with the role {role}.",
                headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{role}"'},
            )

    def charge(self, request: Request, cost: float) -> None:
        """Books what the request costs its caller. Without tokens all callers are this machine's own, and pay nothing.

        Raises:
            ProblemError: `rate_limited`.
        """
        token: ApiToken | None = request.state.token
        if not cost or token is None:
            return
        if seconds := self._limiter.wait(token.name, cost):
            after = math.ceil(seconds)
            raise ProblemError(
                Code.RATE_LIMITED,
                f"Too many costly questions in a short time. Ask again in {after} s, or raise JOULEGATE_RATE_LIMIT.",
                headers={"Retry-After": str(after)},
            )

    def _require_own_page(self, request: Request) -> None:
        """Without tokens, whoever is on this machine may change things; but not any page that its browser happens to show."""
        origin = header(request.scope, b"origin").decode("latin-1")
        own = header(request.scope, b"host").decode("latin-1")
        if origin and origin.partition("://")[2] != own and not self._origins & {origin, "*"}:
            raise ProblemError(
                Code.FORBIDDEN,
                "A page of another origin may not change anything here: set tokens, or list its origin in JOULEGATE_CORS_ORIGINS.",
            )


def _bearer(scope: Scope) -> bytes | None:
    """What follows `Bearer`; None when there is no such header."""
    scheme, _, given = header(scope, b"authorization").partition(b" ")
    return given.strip() if scheme.lower() == b"bearer" else None


def _unauthorized(*, is_given: bool) -> ProblemError:
    if is_given:
        detail, challenge = "The token is not one of this service's.", f'{REALM}, error="invalid_token"'
    else:
        detail, challenge = "This needs a token: send the header Authorization: Bearer and the token.", REALM
    return ProblemError(Code.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
