"""Values that no configuration may hold, under any key."""

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig
from bizon.config.document import document_from_dict, load_yaml
from bizon.config.loading import build_config
from bizon.config.plain_data import MOST_LEVELS, problems_of
from bizon.config.strict import MOST_SECONDS
from bizon.source.config import SourceConfig

TEMPLATE = """\
name: pipe
source: {name: dummy, stream: creatures}
destination:
  name: file
engine:
  runner:
    config:
      lease_ttl: VALUE
"""


def build(data: dict[str, Any]) -> None:
    build_config(document_from_dict(data), environ={}, overrides={}, resolve_source=lambda _: SourceConfig)


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
def test_a_number_that_is_not_finite_is_named_with_line_and_key(tmp_path: Path, value: str) -> None:
    """They used to end in an OverflowError at run time, and exit code 1."""
    path = tmp_path / "pipe.yml"
    path.write_text(TEMPLATE.replace("VALUE", value))
    with pytest.raises(ConfigError, match=r"pipe\.yml:8:18: engine\.runner\.config\.lease_ttl: must be a finite"):
        build_config(load_yaml(path), environ={}, overrides={}, resolve_source=lambda _: SourceConfig)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\0b", "holds a NUL character"),
        ({"a\0b": 1}, "a key holds a NUL character"),
        (math.inf, "must be a finite number"),
        (10**400, "must be at most 9223372036854775807"),
        (-(2**63) - 1, "must be at most 9223372036854775807"),
    ],
)
@pytest.mark.parametrize("place", ["top", "connector", "list"])
def test_it_is_refused_wherever_it_stands(value: Any, reason: str, place: str) -> None:
    data = {
        "top": {"name": value},
        "connector": {"source": {"own": {"key": value}}},
        "list": {"transforms": [{"label": [value]}]},
    }[place]
    with pytest.raises(ConfigError, match=reason):
        build(data)


@pytest.mark.parametrize("value", ["text", "", "日本", 2**63 - 1, 0.1, True, None, (), {"a": [1, {"b": None}]}])
def test_everything_else_passes(value: Any) -> None:
    assert list(problems_of({"key": value})) == []


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_has_a_bound() -> None:
    assert list(problems_of({"a": nested(MOST_LEVELS - 1)})) == []
    with pytest.raises(ConfigError, match=r"a: nested too deeply: more than 100 levels"):
        build({"a": nested(MOST_LEVELS)})


def test_a_dict_that_contains_itself_is_refused() -> None:
    data: dict[str, Any] = {"name": "pipe"}
    data["source"] = data
    with pytest.raises(ConfigError, match="nested too deeply"):
        build(data)


def test_aliases_that_nest_deeper_than_the_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yml"
    lines = ["a0: &a0 [1]", *(f"a{n}: &a{n} {'[' * 50}*a{n - 1}{']' * 50}" for n in range(1, 30))]
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="nested too deeply"):
        build(load_yaml(path).data)


def seconds_of(model: type[BaseModel], seen: set[type[BaseModel]]) -> list[str]:
    """Settings that are times without an upper bound."""
    if model in seen:
        return []
    seen.add(model)
    found = []
    for name, field in model.model_fields.items():
        description = field.description or ""
        is_number = any(kind in repr(field.annotation) for kind in ("float", "int"))
        is_time = description.startswith("Seconds") and is_number and "tuple" not in repr(field.annotation)
        bounds = [each for each in field.metadata if getattr(each, "le", None) is not None]
        if is_time and not any(each.le <= MOST_SECONDS for each in bounds):
            found.append(f"{model.__name__}.{name}")
        for each in _models_in(field.annotation):
            found += seconds_of(each, seen)
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    from typing import get_args

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def test_every_duration_has_an_upper_bound() -> None:
    """1e18 seconds used to be accepted, and to overflow a timer."""
    assert seconds_of(BizonConfig, set()) == []


@pytest.mark.parametrize("timeout", [[1e18, 1], [1, 1e18]])
def test_every_http_timeout_has_an_upper_bound(timeout: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"source\.http\.timeout: both time-outs must be at most 3155760000 seconds"):
        build({"name": "p", "source": {"name": "n", "stream": "s", "http": {"timeout": timeout}}})
