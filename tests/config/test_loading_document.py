"""Reading YAML: every mistake has file, line and column; every key has a position."""

from pathlib import Path

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.config.document import Position, document_from_dict, dotted, load_yaml


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "pipe.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def error_of(folder: Path, text: str | bytes) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    return str(caught.value).replace(path, "pipe.yml")


def test_keys_and_values_are_known_by_line_and_column(tmp_path: Path) -> None:
    document = load_yaml(write(tmp_path, "# first\nname: p\nitems:\n  - a: 1\n    b: 2\n"))
    assert document.data == {"name": "p", "items": [{"a": 1, "b": 2}]}
    assert document.position(()) == Position(2, 1)
    assert document.position(("items", 0, "b")) == Position(5, 5)
    assert document.position(("items", 0, "b"), value=True) == Position(5, 8)


def test_a_missing_key_is_placed_at_the_block_around_it(tmp_path: Path) -> None:
    document = load_yaml(write(tmp_path, "name: p\nsource:\n  name: x\n"))
    assert document.position(("source", "stream")) == Position(2, 1)
    assert document.locate(("nowhere",)).endswith("pipe.yml:1:1")


def test_a_key_without_a_value_is_placed_at_the_key(tmp_path: Path) -> None:
    document = load_yaml(write(tmp_path, "name: p\nengine:\n"))
    assert document.position(("engine",), value=True) == Position(2, 1)


def test_a_dict_has_no_positions() -> None:
    assert document_from_dict({"name": "p"}).locate(("name",)) == "config"


def test_anything_but_a_dict_is_refused() -> None:
    with pytest.raises(ConfigError, match="this is a list"):
        document_from_dict(["name"])  # type: ignore[arg-type]


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    document = load_yaml(write(tmp_path, "base: &base {a: 1, b: 2}\nuse:\n  <<: *base\n  b: 3\n"))
    assert document.data["use"] == {"a": 1, "b": 3}
    assert document.position(("use", "a")) == Position(1, 14)
    assert document.position(("use", "b")) == Position(4, 3)


@pytest.mark.parametrize("value", ["2024-05-06", "2024-05-06T07:08:09Z", "!!timestamp 2024-05-06"])
def test_dates_stay_text(tmp_path: Path, value: str) -> None:
    assert load_yaml(write(tmp_path, f"since: {value}")).data["since"] == value.removeprefix("!!timestamp ")


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, b"\xef\xbb\xbfname: p")).data == {"name": "p"}


@pytest.mark.lesson("F-26")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pipe.yml:1:1: the file is empty"),
        ("# only a comment\n", "pipe.yml:1:1: the file is empty"),
        ("- name: p\n", "pipe.yml:1:1: a pipeline is a mapping with the keys name, source and destination, this is a"),
        ("# hm\njust words\n", "pipe.yml:2:1: a pipeline is a mapping"),
        ("name: p\nsource: [\n", "pipe.yml:3:1: not valid YAML: while parsing a flow node"),
        ("name:\n\t- a\n", "pipe.yml:2:1: not valid YAML: a tab cannot indent"),
        ("name: p: q\n", "pipe.yml:1:8: not valid YAML: a ':' is not allowed here"),
        ("name: @x\n", "pipe.yml:1:7: not valid YAML: a tab cannot indent, nor can @, ` or % start a text"),
        ("name: *x\n", "pipe.yml:1:7: not valid YAML: found undefined alias"),
        ("name: p\n---\nname: q\n", "pipe.yml:2:1: not valid YAML: a second document starts here"),
        ("name: !python/object x\n", "pipe.yml:1:7: not valid YAML: could not determine a constructor"),
        ("name: !!int x\n", "pipe.yml: not valid YAML: a value does not fit its !!tag"),
        ("name: \x01\n", "pipe.yml: not valid YAML: a control character is not allowed"),
        ("? [a]\n: b\n", "pipe.yml:1:3: not valid YAML: while constructing a mapping, found unhashable key"),
        ("name: p\nsource:\n  a: 1\n  a: 2\n", "pipe.yml:4:3: source.a: given twice, first in line 3"),
        ("a: &a [*a]\n", "pipe.yml:1:4: a[0]: an alias refers to a block that contains it"),
        (b"name: p\nx: \xff\n", "pipe.yml:2:4: not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_a_pipeline_is_one_message_with_its_place(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    """Each used to end in a Python traceback."""
    message = error_of(tmp_path, text)
    assert message.startswith(expected)
    assert "\n" not in message


@pytest.mark.lesson("F-27")
def test_a_syntax_error_shows_nothing_of_the_file(tmp_path: Path) -> None:
    """YAML errors used to come with a snippet of the lines around, secrets included."""
    assert "s3kret" not in error_of(tmp_path, "token: s3kret: x\n")


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
    )
    assert "too large" in error_of(tmp_path, bomb)


def test_a_file_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    assert "not valid YAML" in error_of(tmp_path, "a: " + "[" * 5000 + "]" * 5000)


@pytest.mark.lesson("F-26")
def test_a_missing_file_and_a_folder_are_one_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yml: cannot be read: No such file or directory$"):
        load_yaml(tmp_path / "none.yml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        load_yaml(tmp_path)


def test_a_path_is_written_with_dots_and_indexes() -> None:
    assert dotted(("transforms", 0, "python")) == "transforms[0].python"


@pytest.mark.parametrize(
    "text", ["0012345", "0x1F", "0b101", "1234_5678", "+5", "-0", "12:30:45", "1_0.5", "190:20:30.15"]
)
def test_text_that_yaml_1_1_reads_as_another_number_stays_text(tmp_path: Path, text: str) -> None:
    """``client_id: 0012345`` used to be sent as 5349."""
    assert load_yaml(write(tmp_path, f"a: {text}\n")).data == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("12", 12), ("-3", -3), ("1.10", 1.1), ("-.5", -0.5), ("1.5e+3", 1500.0), ("1.", 1.0)]
)
def test_numbers_are_numbers(tmp_path: Path, text: str, value: float) -> None:
    data = load_yaml(write(tmp_path, f"a: {text}\n")).data
    assert (data["a"], type(data["a"])) == (value, type(value))
