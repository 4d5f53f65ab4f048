"""The address of an MQTT broker, from a URL and the settings that name TLS files."""

import ssl
from urllib.parse import unquote, urlsplit

import msgspec

from joulegate_core.errors import BrokerUnavailableError, SettingsError
from joulegate_core.settings import Settings
from joulegate_core.tls import TlsFileError, client_context

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class BrokerAddress(msgspec.Struct, frozen=True):
    """Where the broker is and how to log in. `tls` without `ca_file`: the system's certificate authorities are trusted."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @property
    def endpoint(self) -> str:
        """`host:port`, for people: holds no secret."""
        return f"{self.host}:{self.port}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context for `mqtts://`, None for `mqtt://`. Reads the files, so that one that was replaced is used from now on.

        Raises:
            BrokerUnavailableError: a file is missing, cannot be read, or does not hold what it should.
        """
        if not self.tls:
            return None
        try:
            return client_context(self.ca_file, self.cert_file, self.key_file)
        except TlsFileError as error:
            raise BrokerUnavailableError(str(error)) from error

    def __repr__(self) -> str:
        return f"BrokerAddress({self.endpoint})"


def broker_address(settings: Settings) -> BrokerAddress:
    """The broker that the settings name, its TLS files looked at.

    Raises:
        SettingsError: the URL is not valid, a TLS file cannot be used, or TLS files are named and the URL is `mqtt://`.
    """
    files = {"ca_file": settings.mqtt_ca_file, "cert_file": settings.mqtt_cert_file, "key_file": settings.mqtt_key_file}
    address = msgspec.structs.replace(parse_broker_url(settings.mqtt_url), **files)
    given = [f"JOULEGATE_MQTT_{name.upper()}" for name, path in files.items() if path]
    if given and not address.tls:
        raise SettingsError(f"{given[0]} is set and JOULEGATE_MQTT_URL is mqtt://, without TLS: make it mqtts://")
    if bool(address.cert_file) != bool(address.key_file):
        raise SettingsError("JOULEGATE_MQTT_CERT_FILE and JOULEGATE_MQTT_KEY_FILE go together: set both, or neither")
    try:
        address.ssl_context()
    except BrokerUnavailableError as error:
        raise SettingsError(str(error)) from error
    return address


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
