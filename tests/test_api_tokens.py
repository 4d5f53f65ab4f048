"""Tokens in the settings: what is taken, what is refused and how that is said, and where the service may listen without any."""

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from command_support import COMMAND, done, joulegate
from joulegate_cli.local.ports import free_port
from joulegate_core.errors import SettingsError
from joulegate_core.exposure import is_loopback, tokens_for_listening
from joulegate_core.settings import Settings, load_settings
from joulegate_core.tokens import MOST_TOKENS, ApiToken, find_token, make_token, parse_tokens
from joulegate_http.cors import parse_origins
from process_harness import Process

SECRET = "s3cr3t-of-an-operator"
OTHER = "s3cr3t-of-a-wall-screen"
DIGEST = sha256(SECRET.encode()).digest()
NOWHERE = "postgresql://joulegate@127.0.0.1:1/none"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        (SECRET, (ApiToken("operator", "operate", DIGEST),)),
        (f"wall:read:{SECRET}", (ApiToken("wall", "read", DIGEST),)),
        (f"wall:read:sha256:{DIGEST.hex()}", (ApiToken("wall", "read", DIGEST),)),
        (
            f" {SECRET} ,\n b:read:sha256:{'0' * 64} ",
            (ApiToken("operator", "operate", DIGEST), ApiToken("b", "read", bytes(32))),
        ),
    ],
)
def test_what_is_taken(text: str, expected: tuple[ApiToken, ...]) -> None:
    assert parse_tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("too-short", "the token in entry 1 must have 16 to 256 characters"),
        (f"{SECRET}!", "the token in entry 1 must have"),
        ("x" * 257, "the token in entry 1 must have"),
        (f"{SECRET},", "the token in entry 2 must have"),
        (f"wall:{SECRET}", "entry 1 has the wrong number of parts"),
        (f"wall:read:{SECRET}:x", "entry 1 has the wrong number of parts"),
        (f"wall:admin:{SECRET}", "the role in entry 1 must be read or operate"),
        (f"wall::{SECRET}", "the role in entry 1 must be read or operate"),
        (f"a wall:read:{SECRET}", "the name in entry 1 must have 1 to 64 characters"),
        (f":read:{SECRET}", "the name in entry 1 must have"),
        (f"wall:read:sha256:{SECRET}", "the hash in entry 1 must be sha256: and 64 hex digits"),
        (f"wall:read:sha256:{'A' * 64}", "the hash in entry 1 must be"),
        (f"wall:read:{SECRET},wall:read:{OTHER}", "entries 1 and 2 have the same name"),
        (f"a:read:{SECRET},b:read:sha256:{DIGEST.hex()}", "entries 1 and 2 have the same token"),
        (",".join(f"t{n}:read:{OTHER}-{n}" for n in range(MOST_TOKENS + 1)), "there are 101 tokens, at most 100"),
    ],
)
def test_what_is_refused_is_told_without_repeating_it(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_tokens(text)
    message = str(caught.value)
    assert message.startswith("JOULEGATE_API_TOKENS is not valid: ")
    assert says in message
    assert SECRET not in message
    assert "\n" not in message


def test_a_token_is_found_by_the_whole_of_it() -> None:
    tokens = parse_tokens(f"a:read:{make_token()},b:operate:{SECRET}")
    found = find_token(tokens, SECRET.encode())
    assert found is not None
    assert (found.name, found.may("read"), found.may("operate")) == ("b", True, True)
    assert not tokens[0].may("operate")
    for other in (SECRET[:-1], SECRET + "x", SECRET.upper(), DIGEST.hex(), f"sha256:{DIGEST.hex()}", ""):
        assert find_token(tokens, other.encode()) is None


def test_nothing_shows_a_token() -> None:
    (token,) = parse_tokens(SECRET)
    assert f"{token!r} {token}" == "ApiToken(operator) ApiToken(operator)"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.0.10", False),
        ("localhost.example", False),
    ],
)
def test_only_loopback_may_be_open(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected
    assert tokens_for_listening(Settings(http_host=host, api_tokens=SECRET))
    if expected:
        assert tokens_for_listening(Settings(http_host=host)) == ()
    else:
        with pytest.raises(SettingsError, match="joulegate token NAME"):
            tokens_for_listening(Settings(http_host=host))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"JOULEGATE_HTTP_HOST": "0.0.0.0"}, ("JOULEGATE_HTTP_HOST is 0.0.0.0", "JOULEGATE_API_TOKENS", "127.0.0.1")),
        ({"JOULEGATE_API_TOKENS": "short"}, ("JOULEGATE_API_TOKENS is not valid", "16 to 256")),
        ({"JOULEGATE_CORS_ORIGINS": "https://a.example/x"}, ("JOULEGATE_CORS_ORIGINS is not valid", "entry 1")),
        ({"JOULEGATE_RATE_LIMIT": "-1"}, ("JOULEGATE_RATE_LIMIT is not valid", ">= 0")),
    ],
)
async def test_the_service_does_not_start(tmp_path: Path, settings: dict[str, str], words: tuple[str, ...]) -> None:
    environ = {"JOULEGATE_DATABASE_URL": NOWHERE, "JOULEGATE_HTTP_PORT": str(free_port()), **settings}
    process = await Process.start(tmp_path, environ, "http")
    assert await process.end() == (2, "")
    process.assert_one_line(*words)


def test_up_does_not_start_either(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "JOULEGATE_HTTP_HOST": "0.0.0.0"}
    command = [*COMMAND, "up", "--dir", str(tmp_path / "home")]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "JOULEGATE_HTTP_HOST is 0.0.0.0" in result.stderr
    assert not (tmp_path / "home").exists()


def test_the_command_makes_a_token_and_its_entry() -> None:
    lines = done(NOWHERE, "token", "wall", "--role", "operate").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["token", "entry"]
    token, entry = (line.split(" ")[1] for line in lines)
    assert token not in entry
    (parsed,) = parse_tokens(load_settings({"JOULEGATE_API_TOKENS": entry}).api_tokens)
    assert (parsed.name, parsed.role) == ("wall", "operate")
    assert find_token((parsed,), token.encode()) is parsed
    assert done(NOWHERE, "token", "wall").splitlines()[0] != lines[0]


def test_the_command_takes_a_token_of_yours_and_refuses_what_the_setting_would() -> None:
    command = [*COMMAND, "token", "wall", "--stdin"]
    taken = subprocess.run(command, input=f"{SECRET}\n", capture_output=True, text=True, timeout=60, check=False)
    assert taken.stdout == f"entry wall:read:sha256:{DIGEST.hex()}\n"
    refused = subprocess.run(command, input="short\n", capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "16 to 256 characters" in refused.stderr
    assert joulegate(NOWHERE, "token", "a wall").returncode == 2


@pytest.mark.parametrize(
    "text",
    [
        "fleet.example",
        "https://fleet.example/",
        "https://Fleet.example",
        "https://u@fleet.example",
        "null",
        "ftp://a",
        "*,",
    ],
)
def test_origins_that_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^JOULEGATE_CORS_ORIGINS is not valid: entry "):
        parse_origins(text)


def test_origins_that_are_taken() -> None:
    assert parse_origins("") == frozenset()
    given = "https://fleet.example, http://10.0.0.5:3000,http://[::1]:80"
    assert parse_origins(given) == {"https://fleet.example", "http://10.0.0.5:3000", "http://[::1]:80"}
