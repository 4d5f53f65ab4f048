"""The dashboard's files: what is committed belongs to the sources, and how it is served. No browser is needed."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dashboard_sources import FOLDER, source_digest
from http_support import TEN, api_on

STATIC = Path(__file__).parents[1] / "http" / "joulegate_http" / "static"
MANIFEST = json.loads((STATIC / "manifest.json").read_text())
PLAIN = {"Accept-Encoding": "identity"}
NO_DATABASE = "postgresql://joulegate@127.0.0.1:1/none"
"""Pages and assets are there without one."""


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(NO_DATABASE, now=TEN) as client:
        yield client


def test_what_is_committed_was_built_from_these_sources() -> None:
    """Fails after a change of http/dashboard/ without `make dashboard`."""
    assert MANIFEST["source"] == source_digest()
    assert sorted(file.name for file in (STATIC / "assets").iterdir()) == MANIFEST["assets"]


def test_the_lock_names_no_host_and_the_licences_are_kept() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert "omit-lockfile-registry-resolved=true" in (FOLDER / ".npmrc").read_text()
    licences = (STATIC / "LICENSES.txt").read_text()
    for name in json.loads((FOLDER / "package.json").read_text())["dependencies"]:
        assert re.search(rf"^{re.escape(name)} \d", licences, re.MULTILINE), name


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_is_strict_and_all_that_it_names_is_there(web: httpx.AsyncClient, path: str) -> None:
    page = await web.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", page.text), "nothing inline"
    named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
    assert len(named) == 4
    for asset in named:
        answer = await web.get(asset, headers=PLAIN)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (await web.head(asset, headers=PLAIN)).headers["content-length"] == str(len(answer.content))


async def test_a_page_that_is_known_is_not_sent_again(web: httpx.AsyncClient) -> None:
    page = await web.get("/", headers=PLAIN)
    again = await web.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == page.headers["etag"]
    other = await web.get("/", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    head = await web.head("/", headers=PLAIN)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", page.headers["etag"])


@pytest.mark.parametrize(
    "path", ["/assets/app-0000000000.js", "/assets/", "/assets/..%2findex.html", "/docs/", "/index.html"]
)
async def test_what_is_not_there_is_a_problem(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert "'self'" not in answer.headers["content-security-policy"]


async def test_pages_take_no_other_method(web: httpx.AsyncClient) -> None:
    assert (await web.post("/")).status_code == 405
    assert (await web.delete("/assets/" + MANIFEST["assets"][0])).status_code == 405


def test_it_stays_small() -> None:
    """JavaScript of the dashboard, before gzip (a third of it after)."""
    [script] = (STATIC / "assets").glob("app-*.js")
    assert script.stat().st_size < 180_000
