"""TLS as a client: contexts from files, and what goes wrong in words that say what to do."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import msgspec

from joulegate_core.errors import JoulegateError

_OF_ANOTHER_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_YET_VALID, _EXPIRED = 9, 10

_CERTIFICATE_WANTED = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"})
_CERTIFICATE_REFUSED = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it is revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "another CA signed it",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it is not valid",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it is not for clients",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it is not valid",
}
"""What a server says of a client's certificate (TLS 1.3, RFC 8446, 6.2), under OpenSSL's names."""


ALERT_SECONDS = 2.0
"""Servers send it at once; one that takes us sends nothing until we speak."""


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end, and the settings that an operator of its clients can change."""

    name: str
    url: str
    ca: str
    certificate: str


BROKER = Peer(
    name="the broker",
    url="JOULEGATE_MQTT_URL",
    ca="JOULEGATE_MQTT_CA_FILE",
    certificate="JOULEGATE_MQTT_CERT_FILE and JOULEGATE_MQTT_KEY_FILE",
)
DATABASE = Peer(
    name="the database",
    url="JOULEGATE_DATABASE_URL",
    ca="sslrootcert in JOULEGATE_DATABASE_URL",
    certificate="sslcert and sslkey in JOULEGATE_DATABASE_URL",
)


class TlsFileError(JoulegateError):
    """A file with a certificate or a key cannot be used."""


def client_context(ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext:
    """A context that checks the server's certificate and host name; an empty name leaves a file out.

    Raises:
        TlsFileError: a file is missing, cannot be read, or does not hold what it should; it names the setting.
    """
    _check_readable("JOULEGATE_MQTT_CA_FILE", ca_file)
    _check_readable("JOULEGATE_MQTT_CERT_FILE", cert_file)
    _check_readable("JOULEGATE_MQTT_KEY_FILE", key_file)
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except ssl.SSLError as error:
        raise TlsFileError(f"JOULEGATE_MQTT_CA_FILE: {ca_file} holds no certificate in PEM format") from error
    if cert_file:
        try:
            # a pass phrase would be asked for at the terminal, where a service has none
            context.load_cert_chain(cert_file, key_file, password=_no_pass_phrase)
        except (ssl.SSLError, ValueError) as error:
            raise TlsFileError(
                f"JOULEGATE_MQTT_CERT_FILE and JOULEGATE_MQTT_KEY_FILE: {cert_file} and {key_file} are not a certificate "
                "and its own key in PEM format, the key without a pass phrase"
            ) from error
    return context


def _no_pass_phrase() -> str:
    return ""


def _check_readable(setting: str, path: str) -> None:
    if not path:
        return
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        raise TlsFileError(f"{setting}: {path} cannot be read ({error.strerror})") from error


def tls_failure(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS error that is `error`, or lies behind it."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


async def ask_why_closed(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLError | None:
    """The alert of a server that closed the connection after the handshake, None when it sends none.

    With TLS 1.3 a server judges our certificate when we believe to be connected. What we have sent by then makes TCP reset the
    connection, and the alert is lost; so this connects again and says nothing.
    """
    writer = None
    try:
        async with asyncio.timeout(ALERT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            await reader.read(1)
    except (OSError, TimeoutError) as error:
        return tls_failure(error)
    finally:
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.transport.abort()
    return None


def why_tls_failed(error: ssl.SSLError, peer: Peer) -> str:
    """What is wrong, and what to do, on one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _why_not_trusted(error, peer)
    reason = error.reason or type(error).__name__
    if reason in _CERTIFICATE_WANTED:
        return f"it wants a client certificate ({reason}): set {peer.certificate} to one that its CA signed"
    if reason in _CERTIFICATE_REFUSED:
        why = _CERTIFICATE_REFUSED[reason]
        return f"it refuses our client certificate, {why} ({reason}): set {peer.certificate} to one that it takes"
    if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
        return f"it does not speak TLS there ({reason}): give the port of its TLS listener in {peer.url}"
    return f"TLS failed: {reason}"


def _why_not_trusted(error: ssl.SSLCertVerificationError, peer: Peer) -> str:
    message = error.verify_message.rstrip(".")
    if error.verify_code in _OF_ANOTHER_NAME:
        return (
            f"its certificate is for another host ({message}): "
            f"use a host name that the certificate holds in {peer.url}, or issue one for this name"
        )
    todo = {
        _EXPIRED: f"renew the certificate of {peer.name}",
        _NOT_YET_VALID: f"check the clocks of this machine and of who issued it to {peer.name}",
    }
    return f"its certificate is not trusted: {message}; " + todo.get(
        error.verify_code, f"set {peer.ca} to the CA that signed it"
    )
