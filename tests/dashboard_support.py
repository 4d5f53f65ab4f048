"""The dashboard in a real browser, on the real service: a browser, a sidecar on a port, and a fleet to look at."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from gateway_harness import eventually
from joulegate_cli.local.ports import free_port
from joulegate_cli.replaying import replayer_of
from joulegate_core.settings import load_settings
from joulegate_http.service import run_http

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RUN_AXE = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`);
}"""
DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}

expect.set_options(timeout=15_000)


def find_chromium() -> str | None:
    """The program of the system's Chromium; JOULEGATE_TEST_CHROMIUM names another one."""
    named = os.environ.get("JOULEGATE_TEST_CHROMIUM")
    return named or next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window. Skips the test where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip("chromium is not installed (as root on Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        # as root there is no sandbox; in a container /dev/shm may be too small
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """A tab on the dashboard at `base`. What the page logs as an error is kept: a test ends with `assert_calm`."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    async def open(self, path: str) -> None:
        """Loads the page anew."""
        await self.page.goto("about:blank")
        await self.page.goto(self.base + path)

    async def until_live(self) -> None:
        """Waits for the stream."""
        await expect(self.page.locator(".chip.connection")).to_have_text("Live")

    def assert_calm(self, *expected: str) -> None:
        """No script failed, nothing was refused by the policy of the page, but what is expected."""
        assert [said for said in self.errors if not any(word in said for word in expected)] == []

    async def assert_accessible(self) -> None:
        """axe finds nothing."""
        await self.page.evaluate(AXE)
        found = await self.page.evaluate(RUN_AXE)
        assert not found, f"{self.page.url}: {found}"

    async def assert_fits(self) -> None:
        """Nothing is wider than the window."""
        assert await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@asynccontextmanager
async def visiting(browser: Browser, base: str, **options: Any) -> AsyncIterator[Visit]:
    """A tab with a session of its own."""
    context = await browser.new_context(viewport=options.pop("viewport", DESK), **options)
    try:
        yield Visit(await context.new_page(), base)
    finally:
        await context.close()


@asynccontextmanager
async def serving(url: str, *, port: int | None = None, **settings: str) -> AsyncIterator[str]:
    """The real sidecar; gives its address. `port`: otherwise one of its own. `settings` without the prefix, in lower case."""
    port = port or free_port()
    environ = {f"JOULEGATE_{name.upper()}": value for name, value in settings.items()}
    wanted = load_settings({"JOULEGATE_HTTP_PORT": str(port), "JOULEGATE_DATABASE_URL": url, **environ})
    stop = asyncio.Event()
    running = asyncio.create_task(run_http(wanted, stop, replayer=replayer_of(wanted)))
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base) as client:

        async def is_up() -> bool:
            if running.done():
                running.result()
            try:
                return (await client.get("/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_up)
    try:
        yield base
    finally:
        stop.set()
        await running


async def seed_fleet(db: asyncpg.Connection, vehicles: int) -> None:
    """That many pairs that reported within the last minute, with 24 hours that were judged: every 25th is degraded, some have no ratio."""
    statements: Sequence[str] = (
        "insert into devices (device, kind) select 'v-' || lpad(n::text, 5, '0'), 'vehicle' from generate_series(1, $1) n",
        "insert into devices (device, kind) select 'm-' || lpad(n::text, 5, '0'), 'meter' from generate_series(1, $1) n",
        """insert into vehicle_live (ts, received_at, kwh, battery_temp, soc, charging, device, charge_point)
           select now() - n % 50 * interval '1 s', now(), n % 3 * 0.1, 15 + n % 20, n % 97 + 1, n % 3 > 0,
                  'v-' || lpad(n::text, 5, '0'), 'cp-' || lpad(n::text, 5, '0') from generate_series(1, $1) n""",
        """insert into meter_live (ts, received_at, kwh, voltage, charging, device, charge_point)
           select now() - n % 50 * interval '1 s', now(), n % 3 * 0.11, 230, n % 3 > 0,
                  'm-' || lpad(n::text, 5, '0'), 'cp-' || lpad(n::text, 5, '0') from generate_series(1, $1) n""",
        """insert into charging_24h (ac, dc, judged_ac, judged_dc, vehicle_readings, meter_readings, pairing, stale, vehicle)
           select ac, dc, ac, dc, 1440 - n % 400, 1440, 2, false, 'v-' || lpad(n::text, 5, '0')
           from generate_series(1, $1) n cross join lateral (select 40.0 + n % 7) a (ac)
           cross join lateral (select case when n % 25 = 7 then ac * 0.79 else ac * (0.9 + n % 50 / 1000.0) end) d (dc)
           where n % 100 > 0""",
    )
    for statement in statements:
        await db.execute(statement, vehicles)
    quarter = "date_bin('15 minutes', now(), 'epoch')"
    await db.execute(f"update charging_state set attributed_until = {quarter}, day_until = {quarter}, stale = false")
    await db.execute(f"update roll_state set closed_until = {quarter}, rolled_until = {quarter}")
