"""A destination is registered in three places; a test names the place that a new one misses."""

from pathlib import Path
from typing import Any, cast, get_args

import pytest
import yaml

import bizon.connectors.destinations as connectors
from bizon.common.models import DESTINATIONS, BizonConfig
from bizon.common.sync import SyncMetadata
from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig, DestinationTypes
from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.engine.backend.backend import AbstractBackend
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.callback import NoOpSourceCallback

FOLDER = Path(connectors.__path__[0])
BUILT_IN = [member for member in DestinationTypes if member is not DestinationTypes.CUSTOM]
MEMBERS = pytest.mark.parametrize("member", BUILT_IN, ids=lambda member: member.value)


def config_class_of(member: DestinationTypes) -> type[AbstractDestinationConfig]:
    cls = DESTINATIONS.class_of({"name": member.value})
    assert cls is not None, f"add the config class of '{member}' to DESTINATIONS in bizon/common/models.py"
    return cls


def examples_of(member: DestinationTypes) -> list[Path]:
    return sorted((FOLDER / member.value / "config").glob("*.example.yml"))


def build(config: BizonConfig) -> AbstractDestination:
    metadata = SyncMetadata.from_bizon_config("job", config)
    return DestinationFactory.get_destination(
        sync_metadata=metadata,
        config=config.destination,
        backend=cast("AbstractBackend", None),
        source_callback=NoOpSourceCallback(config.source),
        monitor=NoOpMonitor(metadata),
    )


@MEMBERS
def test_the_config_class_of_a_member_has_its_name(member: DestinationTypes) -> None:
    assert get_args(config_class_of(member).model_fields["name"].annotation) == (member,)


def test_no_config_class_is_without_a_member() -> None:
    assert list(DESTINATIONS.all()) == list(DestinationTypes)


@MEMBERS
def test_the_config_class_is_one_of_the_house(member: DestinationTypes) -> None:
    cls = config_class_of(member)
    assert issubclass(cls, AbstractDestinationConfig)
    assert cls.model_config["extra"] == "forbid"
    details = cls.model_fields["config"].annotation
    assert isinstance(details, type)
    assert issubclass(details, AbstractDestinationDetailsConfig)


@MEMBERS
@pytest.mark.parametrize("file", ["src/__init__.py", "src/config.py", "src/destination.py"])
def test_the_connector_folder_is_complete(member: DestinationTypes, file: str) -> None:
    assert (FOLDER / member.value / file).is_file()


def test_every_connector_folder_has_a_member() -> None:
    folders = {path.name for path in FOLDER.iterdir() if (path / "src").is_dir()}
    assert folders == {member.value for member in BUILT_IN}


@MEMBERS
def test_there_is_an_example_config(member: DestinationTypes) -> None:
    assert examples_of(member), f"write bizon/connectors/destinations/{member}/config/{member}.example.yml"


@pytest.mark.lesson("F-45")
@MEMBERS
def test_every_example_config_validates_and_names_its_destination(member: DestinationTypes) -> None:
    """15 of 26 shipped examples used to be invalid."""
    for path in examples_of(member):
        config = BizonConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert config.destination.name is member, path.name


@MEMBERS
def test_the_factory_has_a_branch(member: DestinationTypes) -> None:
    example = examples_of(member)[0]
    destination = build(BizonConfig.model_validate(yaml.safe_load(example.read_text(encoding="utf-8"))))
    assert type(destination).__module__ == f"bizon.connectors.destinations.{member}.src.destination"
    assert destination.describe()


def test_a_config_without_a_branch_is_named_and_its_settings_are_not_shown() -> None:
    """The error used to contain the whole config, with its secrets."""

    class Stranger(AbstractDestinationConfig):
        name: Any = "stranger"

    config = BizonConfig.model_validate(
        {"name": "p", "source": {"name": "s", "stream": "t"}, "destination": {"name": "logger", "config": {}}}
    )
    metadata = SyncMetadata.from_bizon_config("job", config)
    with pytest.raises(ValueError, match="'stranger'") as error:
        DestinationFactory.get_destination(
            sync_metadata=metadata,
            config=Stranger(alias="x", config={"password": "hidden"}),
            backend=cast("AbstractBackend", None),
            source_callback=NoOpSourceCallback(config.source),
            monitor=NoOpMonitor(metadata),
        )
    assert "hidden" not in str(error.value)
