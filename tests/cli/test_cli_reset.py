"""``bizon stream reset``, and ``--cancel``, which takes it back."""

import pytest
import yaml

SOURCE = """\
from bizon.connectors.sources.dummy.src.source import DummySource


class Own(DummySource):
    def get_records_after(self, source_state, pagination=None):
        return self.get(pagination)
"""
APPEND_ONLY = """\
from bizon.common.errors.errors import ConfigError
from bizon.destination.config import JsonRowsDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import WriteMode


class AppendOnly(AbstractDestination):
    @staticmethod
    def get_config_class():
        return JsonRowsDetailsConfig

    def check_connection(self):
        if self.sync_metadata.write_mode is WriteMode.REPLACE:
            raise ConfigError("rows cannot be replaced")
        return True

    def write_records(self, df_destination_records):
        return True, None
"""


def write(config, sync_mode: str, **engine) -> None:
    (config.parent / "own.py").write_text(SOURCE)
    pipeline = yaml.safe_load(config.read_text())
    pipeline["source"] |= {"sync_mode": sync_mode, "source_file_path": "own.py"}
    config.write_text(yaml.safe_dump({**pipeline, **({"engine": engine} if engine else {})}))


@pytest.mark.parametrize(
    ("sync_mode", "after"),
    [
        ("incremental", "The next run of 'pipe' continues as if none had been requested."),
        ("full_refresh", "In sync_mode full_refresh every job fetches everything and replaces the output."),
    ],
)
def test_a_reset_is_requested_and_taken_back(bizon, config, sync_mode, after):
    write(config, sync_mode)
    said = [bizon("stream", "reset", config, *flags) for flags in ((), ("--cancel",), ("--cancel",))]
    assert [done.exit_code for done in said] == [0, 0, 0]
    assert [done.stdout for done in said] == [
        "The next run of 'pipe' fetches all of dummy.creatures again and replaces the output.\n",
        f"The reset of dummy.creatures is withdrawn. {after}\n",
        f"There was no reset of dummy.creatures to withdraw. {after}\n",
    ]


@pytest.mark.parametrize("flags", [(), ("--cancel",)])
def test_a_stream_has_nothing_to_reset(bizon, config, flags):
    write(config, "stream")
    done = bizon("stream", "reset", config, *flags)
    assert done.exit_code == 2
    assert "nothing to reset" in done.output


@pytest.mark.parametrize("flags", [(), ("--cancel",)])
def test_a_state_in_memory_keeps_no_reset(bizon, config, flags):
    write(config, "incremental", backend={"type": "sqlite_in_memory"})
    done = bizon("stream", "reset", config, *flags)
    assert done.exit_code == 2
    assert "keeps no state between runs" in done.output


def test_check_tries_the_destination_as_the_next_run_will_use_it(bizon, config):
    """It used to say ok to a pipeline whose every run was refused."""
    write(config, "incremental")
    (config.parent / "append_only.py").write_text(APPEND_ONLY)
    custom = {"name": "custom", "config": {"destination_file_path": "append_only.py"}}
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), "destination": custom}))
    assert bizon("check", config).exit_code == 0
    bizon("stream", "reset", config)
    refused = bizon("check", config)
    assert refused.exit_code == 2
    assert "rows cannot be replaced; `bizon stream reset CONFIG --cancel` withdraws the full refresh" in refused.output
    assert bizon("run", config).exit_code == 1
    assert bizon("check", config).exit_code == 2, "the unfinished job carries the reset"
    bizon("stream", "reset", config, "--cancel")
    assert bizon("check", config).exit_code == 0
    assert bizon("run", config).exit_code == 0
