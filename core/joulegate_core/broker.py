"""The address of an MQTT broker, from a URL."""

import ssl
from urllib.parse import unquote, urlsplit

import msgspec

from joulegate_core.errors import SettingsError

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class BrokerAddress(msgspec.Struct, frozen=True):
    """Where the broker is and how to log in. `tls` means the system's certificate authorities are trusted."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None

    @property
    def endpoint(self) -> str:
        """`host:port`, for people: holds no secret."""
        return f"{self.host}:{self.port}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context for `mqtts://`, None for `mqtt://`."""
        return ssl.create_default_context() if self.tls else None

    def __repr__(self) -> str:
        return f"BrokerAddress({self.endpoint})"


def parse_broker_url(url: str) -> BrokerAddress:
    """Parses `mqtt[s]://[user[:password]@]host[:port]`; user and password may be percent-encoded.

    Raises:
        SettingsError: the URL has no host, a bad port, or something behind the port.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError("JOULEGATE_MQTT_URL is not valid: the port must be a number from 1 to 65535") from None
    if port == 0:
        raise SettingsError("JOULEGATE_MQTT_URL is not valid: the port must be a number from 1 to 65535")
    # a `?`, `#` or `/` that is not percent-encoded cuts a password short, and the rest of the URL with it
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or rest:
        raise SettingsError("JOULEGATE_MQTT_URL is not valid: expected mqtt[s]://[user:password@]host[:port]")
    return BrokerAddress(
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
