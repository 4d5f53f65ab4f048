"""Settings: environment variables with the prefix `JOULEGATE_`, read once, by the command line."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from joulegate_core.errors import SettingsError

PREFIX = "JOULEGATE_"
TEST_PREFIX = "JOULEGATE_TEST_"  # belongs to the test suite

Port = Annotated[int, Meta(ge=1, le=65535)]
OptionalPort = Annotated[int, Meta(ge=0, le=65535)]
EnergyKind = Literal["interval", "register"]
KeepDays = Annotated[int, Meta(ge=0, le=36_600)]
"""0: for ever."""
ClientId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:\-]{1,64}\Z")]
ShareGroup = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:\-]{0,64}\Z")]


class Settings(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename=lambda name: PREFIX + name.upper(),
):
    """Every setting, with its default. docs/configuration.md explains each."""

    mqtt_url: Annotated[str, Meta(pattern="^mqtts?://")] = "mqtt://127.0.0.1:1883"
    mqtt_ca_file: str = ""
    mqtt_cert_file: str = ""
    mqtt_key_file: str = ""
    database_url: Annotated[str, Meta(pattern="^postgres(ql)?://")] = "postgresql://joulegate@127.0.0.1:5432/joulegate"
    read_database_url: Annotated[str, Meta(pattern="^(postgres(ql)?://.*)?$")] = ""
    read_pooling: Literal["session", "transaction"] = "session"
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: OptionalPort = 9464
    client_id: ClientId = "joulegate"
    share_group: ShareGroup = ""
    batch_max: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    linger_ms: Annotated[int, Meta(ge=0, le=10_000)] = 75
    receive_maximum: Annotated[int, Meta(ge=1, le=65535)] = 20_000
    session_expiry_seconds: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] = 7 * 86_400
    subscribe: Literal["always", "new-session"] = "always"
    meter_energy: EnergyKind = "interval"
    vehicle_energy: EnergyKind = "interval"
    max_kw: Annotated[float, Meta(gt=0, le=1e6)] = 2000
    max_age_days: Annotated[int, Meta(ge=1, le=3660)] = 7
    max_ahead_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 300
    quarantine_max_mb: Annotated[float, Meta(gt=0, le=1e6)] = 512
    rollup_keep_days: KeepDays = 1830
    quarantine_keep_days: KeepDays = 365
    alert_keep_days: KeepDays = 1830
    alert_efficiency: Annotated[float, Meta(gt=0, le=1)] = 0.85
    alert_hysteresis: Annotated[float, Meta(ge=0, le=0.5)] = 0.02
    alert_min_kwh: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    alert_min_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.5
    api_tokens: str = ""
    cors_origins: str = ""
    rate_limit: Annotated[float, Meta(ge=0, le=1e6)] = 20
    otlp_url: Annotated[str, Meta(pattern="^(https?://.*)?$")] = ""
    log: Literal["json", "console"] = "json"

    def __repr__(self) -> str:
        """Names the class only: URLs and tokens hold secrets."""
        return "Settings(...)"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Reads the settings from `environ`, the process environment as a mapping.

    Raises:
        SettingsError: a name under `JOULEGATE_` is unknown or a value is out of range; the message names it.
    """
    given = {
        name: value for name, value in environ.items() if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)
    }
    known = msgspec.structs.fields(Settings)
    names = [field.encode_name for field in known]
    for name in sorted(given.keys() - set(names)):
        # without the prefix, which is half of a name and would make all of them alike
        close = difflib.get_close_matches(
            name.removeprefix(PREFIX), [other.removeprefix(PREFIX) for other in names], n=1
        )
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "docs/configuration.md lists all settings"
        raise SettingsError(f"{name} is not a setting: {hint}")
    for field in known:
        if field.encode_name in given:
            _check_one(field.encode_name, field.type, given[field.encode_name])
    settings = msgspec.convert(given, Settings, strict=False)
    _check_keep_days(settings, given)
    return settings


def _check_keep_days(settings: Settings, given: Mapping[str, str]) -> None:
    """Nothing is removed that a reading which is still accepted may concern. A default gives way to a long clock window."""
    least = settings.max_age_days + 1
    for name in ("rollup_keep_days", "quarantine_keep_days", "alert_keep_days"):
        if PREFIX + name.upper() in given and 0 < getattr(settings, name) < least:
            raise SettingsError(
                f"{PREFIX}{name.upper()} is not valid: expected 0 (for ever) or at least {least} here, "
                "JOULEGATE_MAX_AGE_DAYS + 1 (docs/configuration.md)"
            )


def _check_one(name: str, kind: object, value: str) -> None:
    """Checks one value by itself, so that the message can name the setting. The value is not repeated: it may be secret."""
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        problem = f"expected {' or '.join(choices)}" if choices else error
        raise SettingsError(f"{name} is not valid: {problem} (docs/configuration.md)") from None
