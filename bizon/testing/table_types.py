"""Behaviours of typed tables: which columns they get, and what becomes of a value without one. Rules 1 to 7."""

import json
from typing import TYPE_CHECKING

import pytest

from bizon.testing.destination_claims import FULL_REFRESH, INCREMENTAL, STREAM, claimed_by, every_mode, in_modes
from bizon.testing.table_claims import OpenTable, TableClaims, page, types_declared
from bizon.testing.table_values import HARD, LONG_KEY, Hard

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes

_MANY = 3_000  # records, more than any sample


class TableTypes(TableClaims):
    """A part of ``TableConformance``."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Also a case for each hard value that the server of the test can hold."""
        super().pytest_generate_tests(metafunc)
        if "hard" in metafunc.fixturenames:
            here = {name: hard for name, hard in HARD.items() if name not in self.not_here}
            metafunc.parametrize("hard", here.values(), ids=here)

    @every_mode()
    def test_rule_1_columns_come_from_every_record(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        usual = ['{"a":1}'] * _MANY
        sent = page(*usual, '{"a":0.5,"late":"x"}', *usual)
        self.load(table(mode), sent)
        assert self.columns(config) == {"a": "float64", "late": "text"}
        self.expect_kept(config, sent)

    def test_rule_1_a_table_keeps_its_columns_from_run_to_run(
        self, config: "AbstractDestinationConfig", table: OpenTable
    ) -> None:
        first, second = page('{"a":1,"b":{"c":1}}', prefix="x"), page('{"b":"text","a":"text"}', prefix="y")
        self.load(table(INCREMENTAL), first)
        self.load(table(INCREMENTAL), second)
        assert self.columns(config) == {"a": "int64", "b": "json"}
        assert self.rescued(config) == {"y0": {"a": "text"}}
        self.expect_kept(config, first, second)

    @claimed_by("declares")
    def test_rule_1_a_declared_column_wins(self, config: "AbstractDestinationConfig", table: OpenTable) -> None:
        schemas = types_declared(config.config.destination_id, a="string", unused="integer")
        sent = page('{"a":1,"b":2}', '{"a":"x"}')
        self.load(table(INCREMENTAL, record_schemas=schemas), sent)
        assert self.columns(config) == {"a": "text", "unused": "int64", "b": "int64"}
        assert self.rescued(config) == {"0": {"a": 1}}
        self.expect_kept(config, sent)

    @in_modes((INCREMENTAL, STREAM))
    def test_rule_2_a_hard_value_is_kept_rescued_or_refused(
        self, config: "AbstractDestinationConfig", table: OpenTable, hard: Hard, mode: "SourceSyncModes"
    ) -> None:
        wanted = {self.names.name((key,)): kind for key, kind in hard.types.items()}
        sent = []
        for run in range(2):  # into a new table, then into one that has the columns
            job = self.begin(table(mode))
            texts = page(*hard.texts, prefix=f"{run}.")
            taken = self.deliver(job, 0, texts)
            assert [id_ for id_, _ in texts if id_ not in dict(taken)] == [texts[at][0] for at in hard.refused]
            sent.append(taken)
            job.end()
            self.expect_columns(config, wanted)
        self.expect_kept(config, *sent)
        rescued = {*hard.rescued, *(() if self.keeps_numbers else hard.large_inside)}
        assert {key for values in self.rescued(config).values() for key in values} == rescued

    @every_mode()
    def test_rule_2_hard_values_together_cost_no_other_record_its_place(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        here = [hard for name, hard in HARD.items() if name not in self.not_here]
        pages = [page(*hard.texts, prefix=f"{number}.") for number, hard in enumerate(here)]
        self.expect_kept(config, *self.load(table(mode), *pages))

    @every_mode()
    def test_rule_2_a_column_of_nulls_does_not_exist_until_a_value_comes(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode))
        first, second = page('{"a":null,"b":1}', prefix="x"), page('{"a":"2024-01-01","b":null}', prefix="y")
        self.deliver(job, 0, first)
        if mode is STREAM:
            assert self.columns(config) == {"b": "int64"}
        self.deliver(job, 1, second)
        job.end()
        assert self.columns(config) == {"b": "int64", "a": "date"}
        self.expect_kept(config, first, second)

    @every_mode()
    def test_rule_3_a_value_that_does_not_fit_is_rescued_and_counted(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        job = self.begin(table(mode))
        pages = [page('{"a":1}'), page('{"a":"x"}', '{"a":2}', prefix="y"), page('{"a":true,"A":1}', prefix="z")]
        counts = []
        for number, records in enumerate(pages):
            self.deliver(job, number, records)
            receipt = job.destination.receipt() or {}
            counts.append((job.destination.rescued(), receipt.get("rescued", {}) if mode is not STREAM else {}))
        keys: list[dict[str, int]] = [{}, {"a": 1}, {"a": 1, "A": 1}] if mode is not STREAM else [{}, {}, {}]
        assert counts == [(0, keys[0]), (1, keys[1]), (2, keys[2])], "by batch, and in its receipt by key"
        job.end()
        assert self.rescued(config) == {"y0": {"a": "x"}, "z0": {"a": True, "A": 1}}
        self.expect_kept(config, *pages)

    def test_rule_3_a_frozen_table_rescues_what_has_no_column(
        self, config: "AbstractDestinationConfig", table: OpenTable
    ) -> None:
        first, second = page('{"a":1}', prefix="x"), page('{"a":2,"new":3}', '{"a":0.5}', prefix="y")
        self.load(table(INCREMENTAL), first)
        self.load(table(INCREMENTAL, schema_mode="freeze"), second)
        assert self.columns(config) == {"a": "int64"}
        assert {id_: [*values] for id_, values in self.rescued(config).items()} == {"y0": ["new"], "y1": ["a"]}
        self.expect_kept(config, first, second)

    def test_rule_3_a_strict_table_refuses_what_does_not_fit(
        self, config: "AbstractDestinationConfig", table: OpenTable
    ) -> None:
        first, second = page('{"a":1}', prefix="x"), page('{"a":2}', '{"a":"x"}', '{"a":3,"new":4}', prefix="y")
        self.load(table(INCREMENTAL), first)
        job = self.begin(table(INCREMENTAL, schema_mode="strict"))
        assert self.refused(job, 0, second) == [1, 2]
        taken = self.deliver(job, 0, second)
        job.end()
        assert self.columns(config) == {"a": "int64"}
        assert self.rescued(config) == {}
        self.expect_kept(config, first, taken)

    @every_mode()
    def test_rule_4_a_column_is_widened_and_no_stored_value_changes(
        self, config: "AbstractDestinationConfig", table: OpenTable, mode: "SourceSyncModes"
    ) -> None:
        pages = [
            page('{"a":9223372036854775807,"b":1.5}', '{"a":-1}', prefix="x"),
            page('{"a":18446744073709551616,"b":9007199254740993}', prefix="y"),
            page('{"a":1}', prefix="z"),
        ]
        self.load(table(mode), *pages)
        self.expect_columns(config, {"a": "decimal(38, 0)", "b": "float64"})
        assert {id_: [*values] for id_, values in self.rescued(config).items()} == {"y0": ["b"]}
        self.expect_kept(config, *pages)

    def test_rule_4_a_column_that_might_change_a_stored_value_stays(
        self, config: "AbstractDestinationConfig", table: OpenTable
    ) -> None:
        first = page('{"d":"2024-01-01","t":"2024-01-01T00:00:00Z","b":true,"s":"x","i":9007199254740993}', prefix="x")
        small = "1e-39" if self.decimals else "1e-30"  # integers and this have no type in common
        second = page(f'{{"d":"2024-01-01T00:00:00Z","t":"2024-01-01","b":"true","s":5,"i":{small}}}', prefix="y")
        self.load(table(INCREMENTAL), first)
        before = self.columns(config)
        self.load(table(INCREMENTAL), second)
        assert self.columns(config) == before
        assert sorted(self.rescued(config)["y0"]) == ["b", "d", "i", "s", "t"]
        self.expect_kept(config, first, second)

    def test_rule_5_a_key_has_the_same_column_in_every_run(
        self, config: "AbstractDestinationConfig", table: OpenTable
    ) -> None:
        records = [json.dumps({f"{LONG_KEY}{number}": number, "Ab": 1, "aB": 2}) for number in range(3)]
        pages = [page(*records, prefix="x"), page(*reversed(records), prefix="y")]
        for each in pages:
            self.load(table(INCREMENTAL), each)
        keys = [*(f"{LONG_KEY}{number}" for number in range(3)), "Ab"]
        assert sorted(self.columns(config)) == sorted(self.names.name((key,)) for key in keys)
        assert all([*values] == ["aB"] for values in self.rescued(config).values())
        self.expect_kept(config, *pages)

    def test_rule_5_names_may_be_in_snake_case(self, config: "AbstractDestinationConfig", table: OpenTable) -> None:
        self.load(table(FULL_REFRESH, naming="snake_case"), page('{"OrderId":1,"order id":2,"2nd":3}'))
        assert self.columns(config) == {"order_id": "int64", "_2nd": "int64"}
        assert self.rescued(config) == {"0": {"order id": 2}}

    def test_rule_6_text_that_cannot_be_stored_is_replaced_in_the_column_and_kept(
        self, config: "AbstractDestinationConfig", table: OpenTable
    ) -> None:
        sent = page(r'{"a":"x\u0000\ud800y","b":{"c":"\ud800\\u0000"}}')
        self.load(table(FULL_REFRESH), sent)
        assert self.values(config, "a") == {"0": "x\ufffd\ufffdy"}
        assert self.values(config, "b") == {"0": '{"c":"\ufffd\\\\u0000"}'}
        self.expect_kept(config, sent)

    def test_rule_7_numbers_pass_through_no_float(self, config: "AbstractDestinationConfig", table: OpenTable) -> None:
        digits = "1234567890123456789012345678.123456789"
        sent = page(f'{{"a":{digits},"b":9007199254740993}}', '{"a":0.1,"b":1}')
        self.load(table(FULL_REFRESH), sent)
        self.expect_columns(config, {"a": "decimal(38, 9)", "b": "int64"})
        assert str(self.values(config, "a")["0"]) == digits
        self.expect_kept(config, sent)
