"""Failures of the cases that every destination inherits show their values."""

import pytest

pytest.register_assert_rewrite("e2e.tables.table_cases", "e2e.tables.table_kit", "e2e.tables.look_cases")
