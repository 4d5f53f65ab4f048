"""The steps of a batch on its way into the database, for who wants to know where its time went."""

import time


class Steps:
    """When each step was over, as nanoseconds since 1970; a step begins where the one before it ended."""

    def __init__(self) -> None:
        self.began = time.time_ns()
        self.ended: list[tuple[str, int]] = []

    def over(self, name: str) -> None:
        """A step is over."""
        self.ended.append((name, time.time_ns()))
