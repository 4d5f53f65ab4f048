"""The dashboard while the database or the service is away: it says so, shows nothing old as live, and goes on by itself."""

from datetime import timedelta

from playwright.async_api import expect

import http_service_support
from dashboard_support import chromium, serving, visiting
from http_support import write
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from test_dashboard import reading

own_server = http_service_support.own_server


async def test_the_database_goes_away_and_comes_back(own_server: LocalPostgres) -> None:
    await write(own_server.url(), [reading(timedelta(minutes=1), soc=41), reading(timedelta(minutes=2), soc=40)])
    async with chromium() as browser, serving(own_server.url()) as base, visiting(browser, base) as visit:
        page = visit.page
        await visit.open("/#/vehicles")
        await visit.until_live()
        await expect(page.locator(".grid-body .c-soc")).to_have_text("41 %")
        own_server.stop("immediate")
        await expect(page.locator(".chip.connection")).to_have_text("Database down")
        await expect(page.get_by_role("alert")).to_contain_text("What is shown is as of")
        await expect(page.locator(".grid-body .c-soc")).to_have_text("41 %")
        await page.reload()
        await expect(page.locator(".chip.connection")).not_to_have_text("Live")
        own_server.start()
        await visit.until_live()
        await expect(page.get_by_role("alert")).to_have_count(0)
        await write(own_server.url(), [reading(timedelta(0), soc=77)] * 2)
        await expect(page.locator(".grid-body .c-soc")).to_have_text("77 %")


async def test_the_service_restarts(database_url: str) -> None:
    port = free_port()
    async with chromium() as browser, visiting(browser, f"http://127.0.0.1:{port}") as visit:
        async with serving(database_url, port=port):
            await visit.open("/")
            await visit.until_live()
        await expect(visit.page.locator(".chip.connection")).to_have_text("Reconnecting")
        await expect(visit.page.get_by_role("alert")).to_contain_text("Not live.")
        async with serving(database_url, port=port):
            await visit.until_live()
            await expect(visit.page.get_by_role("alert")).to_have_count(0)
