"""Random streams that are a function of the seed and a name: independent of order, of the fleet's size, and of each other."""

import hashlib
import random
from collections.abc import Mapping

GOLDEN = 0.6180339887498949
"""Multiples of the golden ratio's fraction are spread evenly over [0, 1): with any prefix of numbers, a share is a share."""


def stream(seed: int, *names: str | int) -> random.Random:
    """The random numbers of one device, or of one purpose of it."""
    return random.Random("/".join(map(str, (seed, *names))))


def uniform(seed: int, *names: str | int) -> float:
    """One number in [0, 1) for this seed and name; cheaper than a stream."""
    digest = hashlib.blake2b("/".join(map(str, (seed, *names))).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def spread(number: int, offset: float) -> float:
    """A number in [0, 1) for each device number, spread evenly; numbers with a value under 0.04 are 4 % of any fleet."""
    return (number * GOLDEN + offset) % 1.0


def pick(weights: Mapping[str, float], draw: float) -> str:
    """The key to which a draw from [0, 1) leads, when each has its weight."""
    rest = draw * sum(weights.values())
    last = ""
    for key, weight in weights.items():
        rest -= weight
        last = key
        if rest < 0.0:
            break
    return last
