"""Changes to a payload that is there, token by token, for the mutator: its JSON mostly stays JSON."""

import re
from collections.abc import Callable
from random import Random

from fuzz.messages import escaped, message, odd_value, valid_time
from fuzz.odd import BROKEN, TOPICS

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[-+.0-9eE]+|[A-Za-z]+|\s+|.', re.DOTALL)

Tokens = list[bytes]


def edited(random: Random, topic: str, payload: bytes) -> tuple[str, bytes]:
    """The message with one to three changes; now and then another one."""
    kind = random.random()
    if kind < 0.5:
        return message(random)
    if kind < 0.52:
        return random.choice(TOPICS), payload
    tokens = TOKEN.findall(payload)
    for _ in range(random.randint(1, 3)):
        if tokens:
            random.choice(EDITS)(random, tokens)
    return topic, b"".join(tokens)


def _replace_value(random: Random, tokens: Tokens) -> None:
    values = [at for at, token in enumerate(tokens) if token[:1] not in b"{}[]:, \r\n\t" or token[:1] == b""]
    if values:
        at = random.choice(values)
        tokens[at] = valid_time(random) if tokens[at].startswith(b'"20') else odd_value(random)


def _change_digits(random: Random, tokens: Tokens) -> None:
    numbers = [at for at, token in enumerate(tokens) if any(digit in token for digit in b"0123456789")]
    if numbers:
        at = random.choice(numbers)
        text = bytearray(tokens[at])
        where = random.randrange(len(text))
        text[where : where + random.randint(0, 1)] = random.choice((b"0", b"9", b".", b"e", b"-", b"", b"00000", b"Z"))
        tokens[at] = bytes(text)


def _copy(random: Random, tokens: Tokens) -> None:
    start = random.randrange(len(tokens))
    piece = tokens[start : start + random.choice((1, 2, 4))]
    at = random.randrange(len(tokens))
    tokens[at:at] = piece


def _delete(random: Random, tokens: Tokens) -> None:
    del tokens[random.randrange(len(tokens))]


def _swap(random: Random, tokens: Tokens) -> None:
    one, other = random.randrange(len(tokens)), random.randrange(len(tokens))
    tokens[one], tokens[other] = tokens[other], tokens[one]


def _insert(random: Random, tokens: Tokens) -> None:
    piece = random.choice((b" ", b"\n", b"\x00", b"\xff", b",", b'"', b"\\", b"{", b"}", *BROKEN))
    tokens.insert(random.randrange(len(tokens) + 1), piece)


def _escape(random: Random, tokens: Tokens) -> None:
    at = random.randrange(len(tokens))
    tokens[at] = escaped(random, tokens[at])


def _truncate(random: Random, tokens: Tokens) -> None:
    del tokens[random.randrange(len(tokens)) :]


EDITS: list[Callable[[Random, Tokens], None]] = [
    _replace_value, _replace_value, _replace_value, _change_digits, _change_digits, _copy, _delete, _swap, _insert, _escape, _truncate,
]  # fmt: skip
