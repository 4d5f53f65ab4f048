"""The dashboard as a person uses it: a real browser on the real service, a real database, and readings through the gateway's writer."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from dashboard_support import DESK, PHONE, Visit, chromium, seed_fleet, serving, visiting
from http_support import Reading, write
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import MeterReading, VehicleReading
from joulegate_db.presence import BUCKET
from joulegate_db.windows import bucket_of

MINUTE = timedelta(minutes=1)
VEHICLES = 10_000

PAGES = ("/", "/#/vehicles", "/#/vehicles/v-1", "/#/alerts", "/#/health", "/docs", "/#/nowhere")
"""Of a fleet as `seed_hour` leaves it."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


def reading(
    ago: timedelta, *, soc: float = 50, kwh: float = 0.09, device: str = "v-1", cp: str = "cp-1"
) -> VehicleReading:
    """A vehicle's reading so long ago."""
    return VehicleReading(
        device=device, charge_point=cp, ts=utc_now() - ago, kwh=kwh, soc=soc, battery_temp=31, late=False
    )


def metered(ago: timedelta, *, kwh: float = 0.1, device: str = "m-1", cp: str = "cp-1") -> MeterReading:
    """A meter's reading so long ago."""
    return MeterReading(device=device, charge_point=cp, ts=utc_now() - ago, kwh=kwh, voltage=230, late=False)


async def seed_hour(url: str) -> None:
    """v-1 charges at m-1's charge point, a quarter of an hour is missing; v-2 charges where no meter is, and m-2 measures elsewhere."""
    readings: list[Reading] = []
    now = utc_now()
    missing = bucket_of(now) - 2 * BUCKET
    for minute in range(75, 0, -1):
        ago = minute * MINUTE
        readings += [metered(ago), metered(ago, device="m-2", cp="cp-m2"), reading(ago, device="v-2", cp="cp-v2")]
        if bucket_of(now - ago) != missing:
            readings.append(reading(ago))
    await write(url, readings)


async def open_alert(db: asyncpg.Connection, device: str = "v-1") -> None:
    """An alert as the gateway opens it."""
    await db.execute(
        """insert into alerts (opened_at, value, threshold, kind, device, device_kind, detail)
           values (now(), 0.7, 0.85, 'low_efficiency', $1, 'vehicle', '7.000 kWh DC of 10.000 kWh AC in the last 24 h')""",
        device,
    )


async def refuse(db: asyncpg.Connection, topic: str, payload: str, reason: str, detail: str) -> None:
    """A message in quarantine, as the gateway puts it there."""
    await db.execute(
        """insert into quarantine (first_seen, last_seen, topic, payload, reason, detail, digest)
           values (now(), now(), $1, convert_to($2, 'UTF8'), $3, $4, sha256(convert_to($1 || $2, 'UTF8')))""",
        topic,
        payload,
        reason,
        detail,
    )


async def test_ten_thousand_vehicles_live(browser: Browser, db: asyncpg.Connection, database_url: str) -> None:
    """Scrolled, sorted, filtered, by mouse and by keyboard; and a reading that is stored appears by itself."""
    await seed_fleet(db, VEHICLES)
    async with serving(database_url) as base, visiting(browser, base) as visit:
        page = visit.page
        await visit.open("/#/vehicles")
        await visit.until_live()
        await expect(page.locator(".tally")).to_have_text("10,000 vehicles")
        grid = page.get_by_role("grid", name="Vehicles")
        await expect(grid).to_have_attribute("aria-rowcount", "10001")
        rows = page.locator(".grid-body .grid-row")
        assert await rows.count() < 60, "only what is in sight is in the document"

        await grid.focus()
        await page.keyboard.press("End")
        await expect(page.locator(".grid-row.active")).to_contain_text("v-10000")
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowDown")
        await expect(page.locator(".grid-row.active")).to_contain_text("v-00002")

        await page.get_by_role("button", name="SoC").click()
        await expect(rows.first).to_contain_text("1 %")
        await page.get_by_role("button", name="SoC").click()
        await expect(rows.first).to_contain_text("97 %")
        assert "sort=-soc" in page.url

        await page.get_by_label("Status").select_option("degraded")
        await expect(page.locator(".tally")).to_have_text("400 of 10,000")
        await page.get_by_label("State").select_option("charging")
        await page.get_by_label("Find").fill("v-0003")
        await expect(rows.first).to_contain_text("Degraded")
        await page.reload()
        await expect(page.get_by_label("Find")).to_have_value("v-0003")

        await visit.open("/#/vehicles?q=v-00003")
        await visit.until_live()
        soc = page.locator(".grid-body .c-soc")
        await expect(soc).to_have_text("4 %")
        await write(database_url, [reading(timedelta(0), soc=88, device="v-00003", cp="cp-00003")] * 2)
        await expect(soc).to_have_text("88 %")

        await grid.focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="v-00003", level=1)).to_be_visible()
        visit.assert_calm()


async def test_the_fleet_and_an_alert_that_appears(browser: Browser, db: asyncpg.Connection, database_url: str) -> None:
    await seed_hour(database_url)
    async with serving(database_url) as base, visiting(browser, base) as visit:
        page = visit.page
        await visit.open("/")
        await visit.until_live()
        await expect(page.locator(".figure", has_text="Devices online")).to_contain_text("4")
        await expect(page.locator(".figure", has_text="Power in")).to_contain_text(
            "12.0 kW"
        )  # 2 meters, 0.1 kWh a minute
        await expect(page.get_by_role("img", name="Power of the last")).to_be_visible()
        await expect(page.get_by_text("No open alerts.")).to_be_visible()
        paint = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1")
        print(f"first contentful paint after {paint:.0f} ms")

        await open_alert(db)
        await expect(page.locator(".brief li")).to_contain_text("v-1")
        await expect(page.get_by_role("log")).to_contain_text("New alert: Low efficiency, v-1.")
        await page.get_by_role("link", name="Alerts 1").click()
        await expect(page.locator("tr[data-alert]")).to_contain_text("7.000 kWh DC of 10.000 kWh AC")
        await db.execute(
            "update alerts set closed_at = now(), closed_because = 'the ratio is 0.90 again', written = pg_current_xact_id()"
        )
        await expect(page.get_by_text("No open alerts.")).to_be_visible()
        await page.get_by_role("button", name="Closed").click()
        await expect(page.locator("tr[data-alert]")).to_contain_text("the ratio is 0.90 again")
        visit.assert_calm()


async def test_a_counter_that_began_again_is_marked(
    browser: Browser, database_url: str, db: asyncpg.Connection
) -> None:
    await db.execute("insert into devices (device, kind, energy) values ('m-1', 'meter', 'register')")
    readings: list[Reading] = []
    for minute in range(40, 0, -1):
        count = 100 + 0.1 * (40 - minute) if minute > 20 else 0.1 * (21 - minute)
        readings += [metered(minute * MINUTE, kwh=count), reading(minute * MINUTE)]
    await write(database_url, readings)
    async with serving(database_url) as base, visiting(browser, base) as visit:
        await visit.open("/#/vehicles/v-1")
        await visit.page.get_by_text("The figures as a table").click()
        await expect(visit.page.locator(".figures-table")).to_contain_text("1 reset")
        visit.assert_calm()


async def test_a_vehicle_its_gap_and_a_link_that_is_made_and_ended(browser: Browser, database_url: str) -> None:
    await seed_hour(database_url)
    async with serving(database_url) as base, visiting(browser, base) as visit:
        page = visit.page
        await visit.open("/#/vehicles/v-1")
        await expect(page.locator(".figure", has=page.get_by_text("Efficiency", exact=True))).to_contain_text("90.0 %")
        await expect(page.get_by_text("The only vehicle at its charge point")).to_be_visible()
        await expect(page.get_by_role("img", name="Readings are missing for")).to_be_visible()
        await page.get_by_text("The figures as a table").click()
        await expect(page.locator(".figures-table")).to_contain_text("gap ")
        assert await page.locator(".chart canvas").count() == 4

        await visit.open("/#/vehicles/v-2")
        await expect(page.locator(".figure", has=page.get_by_text("AC drawn", exact=True))).to_contain_text(
            "not measured"
        )
        form = page.get_by_role("form", name="Link a meter")
        await form.get_by_label("Meter").fill("m-2")
        day_before = (utc_now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
        await form.get_by_label("From").fill(day_before)
        await form.get_by_role("button", name="Link").click()
        await expect(page.get_by_text("Linked to m-2.")).to_be_visible()
        await expect(page.locator(".figure", has=page.get_by_text("AC drawn", exact=True))).to_contain_text("kWh")
        await expect(page.locator(".figure", has=page.get_by_text("Confidence", exact=True))).to_contain_text(
            "link pairing"
        )

        await visit.open("/#/vehicles/v-1")
        form = page.get_by_role("form", name="Link a meter")
        await form.get_by_label("Meter").fill("m-2")
        await form.get_by_role("button", name="Link").click()
        await expect(page.get_by_role("alert")).to_contain_text("Meter m-2 is linked to vehicle v-2")

        await visit.open("/#/vehicles/v-2")
        await page.get_by_role("button", name="End the link to m-2 now").click()
        await expect(page.locator(".links")).to_contain_text("to ")
        await expect(page.get_by_role("button", name="End the link to m-2 now")).to_have_count(0)
        visit.assert_calm("409")


async def test_quarantine_is_listed_and_replayed(browser: Browser, db: asyncpg.Connection, database_url: str) -> None:
    """One message would be accepted by today's rules, the other not."""
    now = utc_now().isoformat()
    good = f'{{"vehicleId":"v-9","soc":50,"kwhDeliveredDc":0.1,"batteryTemp":20,"timestamp":"{now}"}}'
    await refuse(db, "fleet/cp-9/vehicle", good, "too_far_ahead", "timestamp was ahead of the gateway's clock")
    await refuse(db, "fleet/cp-9/meter", "{", "bad_json", "not JSON")
    async with serving(database_url) as base, visiting(browser, base) as visit:
        page = visit.page
        await visit.open("/#/health")
        items = page.locator(".quarantine > li")
        await expect(items).to_have_count(2)
        await page.get_by_role("button", name="bad_json 1").click()
        await expect(items).to_have_count(1)
        await items.get_by_role("button", name="Replay").click()
        await expect(page.get_by_role("alert")).to_contain_text("is still refused")
        await page.get_by_role("button", name="All", exact=True).click()
        await items.filter(has_text="too_far_ahead").get_by_text("Payload").click()
        await expect(items.filter(has_text="too_far_ahead").locator("pre")).to_contain_text('"vehicleId":"v-9"')
        await items.filter(has_text="too_far_ahead").get_by_role("button", name="Replay").click()
        await expect(page.get_by_text("was accepted and stored")).to_be_visible()
        await expect(items).to_have_count(1)
        assert await db.fetchval("select soc from vehicle_live where device = 'v-9'") == 50
        visit.assert_calm()


async def test_a_token_is_asked_for_and_a_reader_sees_no_way_to_change(
    browser: Browser, db: asyncpg.Connection, database_url: str
) -> None:
    await seed_hour(database_url)
    await refuse(db, "fleet/cp-9/meter", "{", "bad_json", "not JSON")
    tokens = "ann:operate:operate-0123456789,rob:read:read-0123456789abc"
    async with serving(database_url, api_tokens=tokens) as base, visiting(browser, base) as visit:
        page = visit.page
        await visit.open("/#/vehicles/v-1")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("This service asks for a token")
        await dialog.get_by_label("Token").fill("wrong-0123456789abc")
        await page.keyboard.press("Enter")
        await expect(dialog).to_contain_text("does not know this token")
        await dialog.get_by_label("Token").fill("read-0123456789abc")
        await page.keyboard.press("Enter")
        await visit.until_live()
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_text("Read only")).to_be_visible()
        await expect(page.get_by_text("Your token may look at links, not change them.")).to_be_visible()
        await page.get_by_role("link", name="Health").click()
        await expect(page.locator(".quarantine > li")).to_have_count(1)
        await expect(page.get_by_role("button", name="Replay")).to_have_count(0)
        await page.reload()
        await visit.until_live()
        await page.get_by_role("button", name="Sign out").click()
        await dialog.get_by_label("Token").fill("operate-0123456789")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Replay")).to_have_count(1)
        visit.assert_calm("401")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible_and_fits_a_phone(
    browser: Browser, db: asyncpg.Connection, database_url: str, scheme: str
) -> None:
    await seed_hour(database_url)
    await open_alert(db)
    await refuse(db, "fleet/cp-9/meter", "{" * 300, "bad_json", "not JSON")
    async with serving(database_url) as base, visiting(browser, base, color_scheme=scheme) as visit:
        for path in PAGES:
            await visit.open(path)
            await settled(visit, path)
            await visit.assert_accessible()
            await visit.page.set_viewport_size(PHONE)
            await visit.assert_fits()
            await visit.page.set_viewport_size(DESK)
        visit.assert_calm()


async def settled(visit: Visit, path: str) -> None:
    """Waits until the page shows what it has."""
    if path != "/docs":
        await visit.until_live()
    await expect(visit.page.locator("h1")).to_be_attached()
    await expect(visit.page.locator(".spinner")).to_have_count(0)


async def test_the_theme_is_chosen_and_kept(browser: Browser, database_url: str) -> None:
    async with serving(database_url) as base, visiting(browser, base, color_scheme="light") as visit:
        await visit.open("/")
        await visit.page.get_by_role("button", name="Switch to the dark theme").click()
        await visit.page.reload()
        assert await visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
        await expect(visit.page.get_by_role("button", name="Switch to the light theme")).to_be_visible()


async def test_the_page_of_the_api_needs_nothing_from_outside(browser: Browser, database_url: str) -> None:
    async with serving(database_url) as base, visiting(browser, base) as visit:
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url))
        await visit.open("/docs")
        await expect(visit.page.locator("#getPerformance")).to_contain_text("/v1/analytics/performance/{vehicleId}")
        await visit.page.locator("#getPerformance").get_by_role("link", name="Performance").first.click()
        await expect(visit.page.locator("#type-Performance")).to_contain_text("efficiencyRatio")
        document = await visit.page.evaluate("fetch('/openapi.json').then((answer) => answer.json())")
        operations = sum(len(methods) for methods in document["paths"].values())
        assert await visit.page.locator("article.operation").count() == operations
        assert [url for url in asked if not url.startswith((base, "about:"))] == []
        visit.assert_calm()
