"""The bigquery destination by way of proxies that fail requests on purpose."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from connectors.destinations.bigquery.test_bigquery_faults import config_of
from http_proxy import HttpProxy, http_proxy

from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig

if TYPE_CHECKING:
    from bigquery import Warehouse


@pytest.fixture
def bigquery_proxy(warehouse: "Warehouse") -> Iterator[HttpProxy]:
    with http_proxy(warehouse.google.api_endpoint) as proxy:
        yield proxy


@pytest.fixture
def storage_proxy(warehouse: "Warehouse") -> Iterator[HttpProxy]:
    with http_proxy(warehouse.google.storage_endpoint) as proxy:
        yield proxy


@pytest.fixture
def config(warehouse: "Warehouse", bigquery_proxy: HttpProxy, storage_proxy: HttpProxy) -> BigQueryConfig:
    emulator = {"api_endpoint": bigquery_proxy.url, "storage_endpoint": storage_proxy.url}
    return config_of(warehouse, emulator=emulator)
