"""Where the HTTP API may listen: beyond this machine only with tokens."""

import ipaddress

from joulegate_core.errors import SettingsError
from joulegate_core.settings import Settings
from joulegate_core.tokens import SETTING, ApiToken, parse_tokens


def tokens_for_listening(settings: Settings) -> tuple[ApiToken, ...]:
    """The tokens that callers need; none: everybody on this machine may do everything.

    Raises:
        SettingsError: JOULEGATE_API_TOKENS is not valid, or is empty while others than this machine could call.
    """
    tokens = parse_tokens(settings.api_tokens)
    if not tokens and not is_loopback(settings.http_host):
        raise SettingsError(
            f"JOULEGATE_HTTP_HOST is {settings.http_host or 'empty'}: others than this machine could read and change everything. "
            f"Set {SETTING} (`joulegate token NAME --role operate` makes an entry), or listen on 127.0.0.1"
        )
    return tokens


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
