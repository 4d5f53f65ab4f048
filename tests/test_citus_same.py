"""Tests that say nothing of Citus, on a cluster: the writer's, the stream's, and the comparisons of what is computed with brute force."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import citus_harness
import test_fleet_oracle
import test_gateway_ingest
import test_links_oracle
import test_performance_oracle
import test_stream
import test_writer
from citus_harness import empty
from oracle import Fleet
from oracle.strategies import fleets, windows
from oracle_stand import Step, steps
from test_fleet_oracle import Span, bucket_edges

few = settings(
    max_examples=12,  # a second each: every statement goes to all shards
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


cluster = citus_harness.cluster


@pytest.fixture
async def database_url(cluster: tuple[str, asyncio.Runner]) -> str:
    """In place of one server's, for the tests below that come from elsewhere."""
    url, _ = cluster
    await empty(url)
    return url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


writer = test_writer.writer
test_the_same_batch_again = test_writer.test_the_same_batch_again_changes_nothing
test_quarantine_counts = test_writer.test_quarantine_counts_across_batches_and_within_one
test_a_device_twice_in_a_batch = test_writer.test_a_device_twice_in_a_batch_and_out_of_order
test_live_keeps_the_newest = test_writer.test_live_keeps_the_newest_measured_across_batches
test_the_first_content_wins = test_writer.test_the_first_content_wins_within_a_batch
test_other_content_is_a_conflict = test_writer.test_other_content_in_a_later_batch_is_a_conflict
test_the_same_id_in_both_streams = test_writer.test_the_same_id_in_both_streams_is_two_devices
test_presence_by_quarter_of_an_hour = test_writer.test_presence_by_quarter_of_an_hour
test_a_pair_lands = test_gateway_ingest.test_a_pair_lands_in_history_live_presence_and_devices
test_duplicate_and_conflict = (
    test_gateway_ingest.test_the_same_reading_again_is_a_duplicate_and_other_content_a_conflict
)
test_changes_come_to_all_clients = test_stream.test_changes_come_to_all_clients_as_the_lists_have_them
test_what_commits_late = test_stream.test_what_commits_late_is_not_missed_and_nothing_comes_twice
test_a_client_comes_again = test_stream.test_a_client_that_comes_again_gets_what_it_missed
test_numbers_of_another_database = test_stream.test_numbers_of_another_database_are_no_changes


@few
@given(fleet=fleets(), happenings=steps, edges=windows())
def test_the_answer_equals_brute_force(
    cluster: tuple[str, asyncio.Runner],
    fleet: Fleet,
    happenings: list[Step],
    edges: tuple[datetime, datetime, datetime],
) -> None:
    test_performance_oracle.compare(test_performance_oracle.Stand(*cluster), fleet, happenings, edges)


@few
@given(fleet=fleets(), happenings=steps, span=bucket_edges)
def test_sums_over_whole_buckets_equal_brute_force(
    cluster: tuple[str, asyncio.Runner], fleet: Fleet, happenings: list[Step], span: Span
) -> None:
    test_fleet_oracle.compare(test_fleet_oracle.Stand(*cluster), fleet, happenings, span)


@few
@given(fleet=fleets(), script=test_links_oracle.happenings, edges=windows())
def test_the_answer_equals_brute_force_whatever_changes(
    cluster: tuple[str, asyncio.Runner],
    fleet: Fleet,
    script: list[Any],
    edges: tuple[datetime, datetime, datetime],
) -> None:
    test_links_oracle.compare(test_links_oracle.Stand(*cluster), fleet, script, edges)
