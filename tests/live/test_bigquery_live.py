"""The tests of the emulators, run against BigQuery; see ``conftest.py``."""

from connectors.destinations.bigquery.test_bigquery_conformance import TestBigQuery as TestBigQuery
from connectors.destinations.bigquery.test_bigquery_conformance import (
    TestBigQueryInBackground as TestBigQueryInBackground,
)
from connectors.destinations.bigquery.test_bigquery_unnest import (  # noqa: F401 - collected here too
    test_a_new_column_is_added_to_the_table_and_an_old_one_stays,
    test_every_type_that_parquet_carries,
    test_types_that_parquet_does_not_carry_go_as_lines,
)
from connectors.destinations.bigquery_streaming.test_streaming import TestBigQueryStreaming as TestBigQueryStreaming
from connectors.destinations.bigquery_streaming_v2.test_v2 import TestStreamingV2 as TestStreamingV2
from connectors.destinations.bigquery_streaming_v2.test_v2 import (
    TestStreamingV2WithOffsets as TestStreamingV2WithOffsets,
)
from connectors.destinations.bigquery_streaming_v2.test_v2 import (  # noqa: F401 - collected here too
    test_every_type_and_moments_to_the_microsecond,
    test_partitioning_and_clustering_are_kept,
)
from connectors.destinations.test_bigquery_changed_tables import (  # noqa: F401 - collected here too
    test_a_column_that_is_added_before_publishing,
    test_a_column_that_is_dropped_under_a_stream,
    test_a_column_whose_type_is_another_one_when_it_is_published,
    test_a_table_deleted_before_publishing_is_created_again,
)
from e2e.bigquery.conftest import build  # noqa: F401 - a fixture
from e2e.bigquery.test_bigquery_kills import (  # noqa: F401 - collected here too
    test_a_run_that_dies_is_finished_by_the_next,
    test_runs_killed_at_random_lose_nothing_and_bring_nothing_twice,
)
