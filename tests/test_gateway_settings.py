"""Settings come from the environment; what is wrong with one is said in one line that names it and repeats no secret."""

import pytest

from joulegate_core.broker import BrokerAddress, parse_broker_url
from joulegate_core.errors import SettingsError
from joulegate_core.settings import Settings, load_settings

SECRET = "s3cr3t"


def error_of(**settings: str) -> str:
    """The message of the error that the settings, given without prefix in lower case, must cause."""
    with pytest.raises(SettingsError) as caught:
        load_settings({f"JOULEGATE_{name.upper()}": value for name, value in settings.items()})
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_everything_has_a_default_and_other_variables_are_left_alone() -> None:
    assert load_settings({"PATH": "/bin", "joulegate_http_port": "x"}) == Settings()


def test_values_are_converted() -> None:
    given = {
        "JOULEGATE_BATCH_MAX": "17",
        "JOULEGATE_MAX_KW": "22.5",
        "JOULEGATE_METER_ENERGY": "register",
        "JOULEGATE_METRICS_PORT": "0",
        "JOULEGATE_SHARE_GROUP": "",
        "JOULEGATE_READ_DATABASE_URL": "",
    }
    expected = Settings(batch_max=17, max_kw=22.5, meter_energy="register", metrics_port=0)
    assert load_settings(given) == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("batchmax", "did you mean JOULEGATE_BATCH_MAX?"),
        ("databse_url", "did you mean JOULEGATE_DATABASE_URL?"),
        ("qqqqqqqqqqqqqqq", "docs/configuration.md lists all settings"),
        ("foo", "docs/configuration.md lists all settings"),  # far from all, though the prefix is the same
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    assert error_of(**{name: SECRET}) == f"JOULEGATE_{name.upper()} is not a setting: {hint}"


def test_the_tests_names_are_their_own() -> None:
    assert load_settings({"JOULEGATE_TEST_PG_BIN": "/x", "JOULEGATE_TEST_": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("batch_max", "0", ">= 1"),
        ("batch_max", "100001", "<= 100000"),
        ("batch_max", "", "`int`"),
        ("linger_ms", "-1", ">= 0"),
        ("linger_ms", "10001", "<= 10000"),
        ("receive_maximum", "0", ">= 1"),
        ("receive_maximum", "65536", "<= 65535"),
        ("session_expiry_seconds", "4294967296", "<= 4294967295"),
        ("http_port", "0", ">= 1"),
        ("metrics_port", "65536", "<= 65535"),
        ("max_age_days", "0", ">= 1"),
        ("max_age_days", "3661", "<= 3660"),
        ("max_ahead_seconds", "86401", "<= 86400"),
        ("max_kw", "0", "> 0.0"),
        ("max_kw", "nan", "> 0.0"),
        ("max_kw", "inf", "<= 1000000.0"),
        ("max_kw", "1e400", "out of range"),
        ("client_id", "", "{1,64}"),
        ("client_id", f"{SECRET} b", "{1,64}"),
        ("share_group", "a/b", "{0,64}"),
        ("mqtt_url", f"http://u:{SECRET}@h", "mqtts?://"),
        ("database_url", f"mysql://u:{SECRET}@h", "postgres(ql)?://"),
        ("read_database_url", SECRET, "postgres(ql)?://"),
        ("log", SECRET, "expected json or console"),
        ("vehicle_energy", "Register", "expected interval or register"),
        ("subscribe", "", "expected always or new-session"),
    ],
)
def test_a_bad_value_is_refused_with_its_limit(name: str, value: str, limit: str) -> None:
    message = error_of(**{name: value})
    assert message.startswith(f"JOULEGATE_{name.upper()} is not valid: ")
    assert limit in message
    assert "docs/configuration.md" in message


def test_settings_do_not_show_their_secrets() -> None:
    settings = load_settings({"JOULEGATE_DATABASE_URL": f"postgresql://u:{SECRET}@h/d", "JOULEGATE_API_TOKENS": SECRET})
    assert SECRET not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", BrokerAddress("h", 1883)),
        ("mqtts://h", BrokerAddress("h", 8883, tls=True)),
        ("mqtt://h:1/", BrokerAddress("h", 1)),
        ("mqtt://[::1]:2", BrokerAddress("::1", 2)),
        ("mqtt://u@h", BrokerAddress("h", 1883, username="u")),
        ("mqtt://u:p%40%2F%3F%23w@h:65535", BrokerAddress("h", 65535, username="u", password="p@/?#w")),
        ("mqtt://u:p@w@h", BrokerAddress("h", 1883, username="u", password="p@w")),
    ],
)
def test_broker_urls(url: str, expected: BrokerAddress) -> None:
    assert parse_broker_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://",
        "mqtt://u:p@",
        "mqtt://h:0",
        "mqtt://h:65536",
        "mqtt://h:x",
        "mqtt://h/path",
        f"mqtt://u:1?{SECRET}@h",
        f"mqtt://u:1#{SECRET}@h",
        f"mqtt://u:1/{SECRET}@h",
        f"mqtt://u:{SECRET}@h:{SECRET}",
    ],
)
def test_broker_urls_that_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^JOULEGATE_MQTT_URL is not valid: ") as caught:
        parse_broker_url(url)
    assert SECRET not in str(caught.value)


def test_a_broker_s_address_does_not_show_its_password() -> None:
    address = parse_broker_url(f"mqtts://u:{SECRET}@h")
    assert SECRET not in f"{address!r} {address} {address.endpoint}"
