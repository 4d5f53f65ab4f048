"""docs/cookbook.md: every call is made, on a running service, and prints what the page says."""

import asyncio
import os
import re
import sys
from pathlib import Path

from http_service_support import sidecar
from http_support import at
from openapi_support import SEEDED_UNTIL, seed

PAGE = (Path(__file__).parents[1] / "docs" / "cookbook.md").read_text()
RECIPES = re.findall(r"^```(sh|python)\n(.*?)^```\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
TOKEN = "a-token-of-a-cook"


async def run(url: str, *command: str) -> str:
    """What the command prints, with the page's variables; it must succeed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    running = await asyncio.create_subprocess_exec(
        *command,
        env=kept | {"JOULEGATE": url, "TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await running.communicate()
    assert running.returncode == 0, output.decode()
    return output.decode()


def assert_printed(printed: str, expected: str) -> None:
    """`...` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("..."))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{printed}\nis not\n{expected}"


async def test_every_recipe_does_what_it_says(database_url: str) -> None:
    assert len(RECIPES) == PAGE.count("```text")
    await seed(database_url)
    tokens = f"cook:operate:{TOKEN}"
    async with sidecar(database_url, now=at(SEEDED_UNTIL), JOULEGATE_API_TOKENS=tokens) as client:
        url = str(client.base_url)
        for kind, text, expected in RECIPES:
            if kind == "sh":
                assert_printed(await run(url, "bash", "-euc", text), expected)
        python = [(text, expected) for kind, text, expected in RECIPES if kind == "python"]
        program = "\nprint('----')\n".join(text for text, _ in python)  # later ones go on where the first begins
        printed = (await run(url, sys.executable, "-c", program)).split("----\n")
        for (_, expected), one in zip(python, printed, strict=True):
            assert_printed(one, expected)
