"""Each mistake in a configuration is one line: where, which key, what is allowed, what was meant."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bizon.common.secret import SecretText
from bizon.config.document import document_from_dict
from bizon.config.messages import problems_in, report
from bizon.config.strict import StrictModel, pointed, refusal
from bizon.connectors.sources.dummy.src.config import DummySourceConfig


class Color(StrEnum):
    RED = "red"
    GREEN = "green"


class Strict(StrictModel):
    model_config = ConfigDict(populate_by_name=True)


class Point(Strict):
    x: int
    y: int = 0


class Circle(Strict):
    radius: float
    label: str = ""


class Cat(Strict):
    kind: Literal["cat"]
    lives: int = Field(default=9, ge=1, le=9)


class Dog(Strict):
    kind: Literal["dog"]
    tricks: list[str] = Field(default_factory=list, max_length=2)


class House(Strict):
    name: str = Field(default="h", min_length=1, max_length=5)
    color: Color = Color.RED
    material: Literal["wood", "stone"] = "wood"
    floors: int = 1
    warm: bool = True
    door: Point = Point(x=1)
    shape: Point | Circle = Point(x=1)
    size: int | str = 1
    pet: Cat | Dog | None = Field(default=None, discriminator="kind")
    pets: dict[str, Cat] = Field(default_factory=dict)
    pair: tuple[int, int] = (1, 2)
    points: list[Point] = Field(default_factory=list)
    owner_name: str = Field(default="o", alias="owner")
    code: str = Field(default="A1", pattern=r"^[A-Z]\d$")
    guest: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    token: SecretText = ""
    note: str = ""
    formula: str = ""

    @field_validator("note")
    @classmethod
    def _refuse(cls, value: str) -> str:
        if value:
            raise ValueError(f"cannot use {value} here")
        return value

    @field_validator("formula")
    @classmethod
    def _has_no_plus(cls, value: str) -> str:
        if "+" in value:
            raise pointed(value, value.index("+"), "a formula adds nothing")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "House":
        if self.code == "B2":
            raise refusal("House", [(("door", "x"), "the door does not fit"), (("code",), "nor does the code")])
        return self


def mistakes(data: Any, model: type[BaseModel] = House) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    document = document_from_dict(data if isinstance(data, dict) else {})
    text = report(problems_in(caught.value, model, data), document)
    return [line.removeprefix("config: ") for line in text.splitlines()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"door": {}}, "door.x: required key is missing"),
        ({"door": {"x": 1, "z": 1}}, "door.z: unknown key; allowed: x, y"),
        ({"door": {"x": 1, "X": 1}}, "door.X: unknown key; allowed: x, y; did you mean 'x'?"),
        ({"pet": {"kind": "cat", "live": 3}}, "pet.live: unknown key; allowed: kind, lives; did you mean 'lives'?"),
        ({"pet": {"kind": "dgo"}}, "pet.kind: unknown value 'dgo'; allowed: cat, dog; did you mean 'dog'?"),
        ({"guest": {"kind": "dgo"}}, "guest.kind: unknown value 'dgo'; allowed: cat, dog; did you mean 'dog'?"),
        ({"guest": {"kind": "cat", "lives": 0}}, "guest.lives: must be at least 1"),
        ({"pet": {"kind": 3}}, "pet.kind: unknown value: a number; allowed: cat, dog"),
        ({"pet": {}}, "pet.kind: required key is missing; allowed: cat, dog"),
        ({"pet": 3}, "pet: expected a mapping of keys, found a number"),
        ({"pet": {"kind": "cat", "lives": 10}}, "pet.lives: must be at most 9"),
        ({"pet": {"kind": "cat", "lives": 0}}, "pet.lives: must be at least 1"),
        ({"pet": {"kind": "dog", "tricks": ["a", "b", "c"]}}, "pet.tricks: must have at most 2 item(s)"),
        ({"pets": {"tom": {"kind": "cat", "lives": "x"}}}, "pets.tom.lives: expected a whole number, found a text"),
        ({"pets": {3: {"kind": "cat"}}}, "pets[3]: expected a text, found a mapping of keys"),
        ({"color": "gren"}, "color: unknown value 'gren'; allowed: red, green; did you mean 'green'?"),
        ({"color": "GREEN"}, "color: unknown value 'GREEN'; allowed: red, green; did you mean 'green'?"),
        ({"material": "brick"}, "material: unknown value 'brick'; allowed: wood, stone"),
        ({"floors": "many"}, "floors: expected a whole number, found a text"),
        ({"floors": 1.5}, "floors: expected a whole number, found a number"),
        ({"floors": None}, "floors: expected a whole number, found nothing; give a value or leave the key out"),
        ({"warm": "perhaps"}, "warm: expected true or false, found a text"),
        ({"name": 5}, "name: expected a text, found a number; put it in quotes"),
        ({"name": True}, "name: expected a text, found true or false; put it in quotes"),
        ({"name": ["a"]}, "name: expected a text, found a list"),
        ({"name": ""}, "name: must not be empty"),
        ({"name": "too long"}, "name: must have at most 5 characters"),
        ({"door": None}, "door: expected a mapping of keys, found nothing; give a value or leave the key out"),
        ({"points": {"x": 1}}, "points: expected a list, found a mapping of keys"),
        ({"points": [{"x": 1}, {"x": "a"}]}, "points[1].x: expected a whole number, found a text"),
        ({"pair": [1, "x"]}, "pair[1]: expected a whole number, found a text"),
        ({"size": [1]}, "size: expected a whole number or a text, found a list"),
        ({"shape": {"radius": "wide", "label": "x"}}, "shape.radius: expected a number, found a text"),
        ({"code": "xx"}, r"code: must match ^[A-Z]\d$"),
        ({"ower": "x"}, "ower: unknown key; allowed: name, color, material, floors, warm, door, shape, size, pet, "
         "pets, pair, points, owner, code, guest, token, note, formula; did you mean 'owner'?"),
        ({"radius": 3}, "radius: unknown key; allowed: name, color, material, floors, warm, door, shape, size, pet, "
         "pets, pair, points, owner, code, guest, token, note, formula; did you mean 'shape.radius'?"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_key_what_is_allowed_and_what_was_meant(data: dict[str, Any], expected: str) -> None:
    assert mistakes(data) == [expected]


def test_an_expression_is_shown_with_a_caret_below_the_mistake() -> None:
    assert mistakes({"formula": "a + b"}) == ["formula: a formula adds nothing", "    a + b", "      ^"]


def test_mistakes_between_keys_are_named_where_they_are() -> None:
    assert mistakes({"code": "B2", "name": "door"}) == ["door.x: the door does not fit", "code: nor does the code"]


def test_several_mistakes_are_one_line_each() -> None:
    assert len(mistakes({"floors": "x", "door": {"z": 1}, "warm": 7})) == 4


def test_an_unknown_key_hides_no_other_mistake() -> None:
    data = {"ower": 1, "door": {"x": 1, "z": 1}, "note": "abcdef", "pet": {"kind": "dgo"}, "name": "", "pair": [1, "x"]}
    assert sorted(line.partition(";")[0] for line in mistakes(data)) == [
        "door.z: unknown key",
        "name: must not be empty",
        "note: cannot use ********** here",
        "ower: unknown key",
        "pair[1]: expected a whole number, found a text",
        "pet.kind: unknown value 'dgo'",
    ]


def test_a_configuration_that_is_not_a_mapping_is_reported_without_a_key() -> None:
    assert mistakes([1]) == ["expected a mapping of keys, found a list"]


@pytest.mark.parametrize("declared", ["api_key", "oauth"])
def test_an_authentication_lists_the_parameters_of_its_type(declared: str) -> None:
    data = {"name": "d", "stream": "s", "authentication": {"type": declared, "params": {"nonsense": 1}}}
    found = [line for line in mistakes(data, DummySourceConfig) if "nonsense" in line]
    assert len(found) == 1
    assert ("client_id" in found[0]) is (declared == "oauth")


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize(
    "data",
    [
        {"token": ["s3kret"]},
        {"note": "s3kret"},
        {"s3k": "s3kret"},
        {"door": "s3kret"},
        {"door": {"x": "s3kret"}},
        {"floors": "s3kret"},
        {"color": "s3kret" * 10},
        {"code": "s3kret"},
        {"pet": {"kind": {"a": "s3kret"}}},
    ],
)
def test_values_are_never_repeated(data: dict[str, Any]) -> None:
    """Validation errors used to print the whole block, passwords included."""
    assert "s3kret" not in "\n".join(mistakes(data))


def test_the_words_of_a_validator_are_shown() -> None:
    assert mistakes({"note": "abcdef"}) == ["note: cannot use ********** here"]
