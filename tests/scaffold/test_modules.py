"""Modules from parts."""

from bizon.scaffold.modules import module_of

CONFIG = '''"""The configuration."""

from typing import Any, Literal

from bizon.source.config import SourceConfig
from pydantic import Field


class ShopConfig(SourceConfig):
    size: int = Field(description="Size.")
'''
SOURCE = '''"""The source."""

import requests
from bizon_shop.config import ShopConfig
from bizon.source.models import SourceRecord, SourceIteration


def get(config: ShopConfig) -> SourceIteration:
    # why
    return requests.get(config.size)
'''


def test_unused_imports_go_and_the_others_are_sorted_by_kind():
    assert module_of(SOURCE, first_party="bizon_shop").split("\n\n\n")[0] == (
        '"""The source."""\n\nimport requests\nfrom bizon.source.models import SourceIteration\n\n'
        "from bizon_shop.config import ShopConfig"
    )


def test_two_parts_become_one_module_with_the_docstring_of_the_first_and_without_the_import_between_them():
    text = module_of(CONFIG, SOURCE, first_party="")
    assert text.startswith(
        '"""The configuration."""\n\nimport requests\nfrom bizon.source.config import SourceConfig\n'
    )
    assert "bizon_shop" not in text
    assert text.index("class ShopConfig") < text.index("def get")
    assert "    # why\n" in text


def test_a_part_without_imports_keeps_its_body():
    assert module_of('"""Nothing."""\n\nX = 1\n', first_party="") == '"""Nothing."""\n\nX = 1\n'
    assert module_of("X = 1\n", first_party="") == "X = 1\n"
