"""The README's screenshots: a simulated fleet with a day behind it, on the real services, in the system's Chromium.

scripts/screenshots            # writes docs/images/*.png; takes about three minutes
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import async_playwright

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_core.settings import load_settings
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from joulegate_gateway.service import run_gateway
from joulegate_http.service import run_http
from joulegate_simulator.fleet import vehicles_to_show
from screenshots.fleet import publish_past, publish_refused, publishing

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DEVICES = 120
HOURS = 26.0
DEGRADED = vehicles_to_show(DEVICES)[1]
SHOTS = (
    ("fleet", "/", "dark", 800),
    ("vehicle", f"/#/vehicles/{DEGRADED}", "light", 1010),
    ("vehicles", "/#/vehicles?sort=ratio", "dark", 620),
)
WIDTH = 1280
SETTLE_MS = 4000
ROLLED_SECONDS = 240.0


async def main() -> None:
    """Makes all of them."""
    program = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if program is None:
        sys.exit("screenshots: chromium is not installed (as root on Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as directory:
        async with standing(Path(directory)) as base:
            await _until_rolled(base)
            await _shoot(program, base)


@contextlib.asynccontextmanager
async def standing(directory: Path) -> AsyncIterator[str]:
    """Everything on free ports, with the fleet publishing; gives the sidecar's address."""
    server = LocalPostgres(directory / "postgres", options={"fsync": "off"}).start()
    broker = LocalBroker(directory / "broker", persistence=False)
    broker.start()
    stop = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []
    try:
        await _prepare(server.url())
        ports = {"JOULEGATE_HTTP_PORT": str(free_port()), "JOULEGATE_METRICS_PORT": str(free_port())}
        environ = {
            "JOULEGATE_MQTT_URL": broker.url,
            "JOULEGATE_DATABASE_URL": server.url(),
            **broker.gateway_settings,
            **ports,
        }
        settings = load_settings(environ)
        tasks = [
            asyncio.create_task(run_gateway(settings, stop), name="gateway"),
            asyncio.create_task(run_http(settings, stop), name="http"),
        ]
        await publish_past(broker.url, DEVICES, HOURS)
        await publish_refused(broker.port)
        async with publishing(broker.url, DEVICES):
            yield f"http://127.0.0.1:{settings.http_port}"
    finally:
        stop.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        broker.stop()
        server.stop("immediate")
        for error in ended:
            if isinstance(error, Exception):
                raise error


async def _prepare(url: str) -> None:
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()


async def _until_rolled(base: str) -> None:
    """Waits until the gateway has summed the past and judged it."""
    async with asyncio.timeout(ROLLED_SECONDS), httpx.AsyncClient(base_url=base) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get("/v1/alerts", params={"state": "open"})
                if answer.status_code == httpx.codes.OK and answer.json()["alerts"]:
                    return
            await asyncio.sleep(1)


async def _shoot(program: str, base: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, path, scheme, height in SHOTS:
            context = await browser.new_context(
                color_scheme="dark" if scheme == "dark" else "light", viewport={"width": WIDTH, "height": height}
            )
            page = await context.new_page()
            await page.goto(base + path)
            await page.wait_for_timeout(SETTLE_MS)
            image = IMAGES / f"{name}.png"
            await page.screenshot(path=image)
            print(f"{image.name}: {image.stat().st_size:,} bytes", flush=True)
            await context.close()
        await browser.close()


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(main())
