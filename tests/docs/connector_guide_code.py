"""The template of ai-connector-guide.md with its placeholders filled, and with the pieces that its tables choose."""

import re
from pathlib import Path

from docs.conftest import ROOT, Page

PAGE = Page(ROOT / "docs/ai-connector-guide.md")
FILLED = {
    "SOURCE_NAME": "Acme",
    "source_name": "acme",
    "base_url": "https://api.acme.com/v1",
    "stream": "users",
    "list_key": "items",
    "id_key": "id",
    "time_key": "updated_at",
    "size_param": "limit",
    "max_size": "100",
}
CHOICES = {
    "Page number": "page",
    "Offset": "offset",
    "Offset with a total": "total",
    "Next link": "link",
    "Scroll id": "scroll",
    "POST body": "body",
    "POST body of objects": "objects",
    "A key in a header": "header",
    "A key in the query": "query",
    "User and password": "basic",
    "OAuth 2": "oauth",
    "A filter of the API": "filter",
    "A filter and numbered pages": "numbered",
    "Windows": "windows",
    "A token": "token",
    "A token and a filter": "both",
    "A filter of your own": "own",
}
IMPORTS = """
from datetime import datetime, timedelta

from requests import PreparedRequest

from bizon.common.clock import utc_now
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.authenticators.oauth import Oauth2AuthParams
from bizon.source.models import SourceIncrementalState
"""
TYPES = "Literal[AuthType.API_KEY, AuthType.BEARER]"
KEY_IN_QUERY = """    def get_authenticator(self) -> AuthBase | None:
        return KeyInQuery(self.config.authentication.params.token)
"""


def filled(text: str) -> str:
    """The text with every placeholder of the guide replaced."""
    return re.sub(r"\{\{(\w+)\}\}", lambda placeholder: FILLED[placeholder[1]], text)


def template() -> str:
    return filled(PAGE.block("python", "# bizon/connectors/sources/"))


def example() -> str:
    return filled(PAGE.block("yaml", "# bizon/connectors/sources/"))


def piece(choice: str) -> str:
    """The code below the heading of a choice."""
    (heading,) = [heading for heading, name in CHOICES.items() if name == choice]
    section = PAGE.text.split(f"\n#### {heading}\n")[1].split("\n#")[0]
    return filled(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0])


def source_with(*choices: str) -> str:
    """The template with the pieces of these choices, the text of one module."""
    first, rest = template().split("\n", 1)
    text = f"{first}\n{IMPORTS}\n{rest}"
    if choices == ("both",):
        choices = ("token", "both")  # it uses the methods of the other
    for choice in choices:
        code = piece(choice)
        if choice in ("basic", "oauth"):
            params = {"basic": "BasicHttpAuthParams", "oauth": "Oauth2AuthParams"}[choice]
            text = text.replace(TYPES, f"Literal[AuthType.{choice.upper()}]").replace(
                "params: TokenAuthParams", f"params: {params}"
            )
        if choice in ("header", "query"):
            text = text.replace("\n\n\nclass AcmeAuthConfig", f"\n\n\n{code}\n\nclass AcmeAuthConfig")
            if choice == "header":
                text = text.replace("params: TokenAuthParams", "params: AcmeAuthParams")
                continue
            code = KEY_IN_QUERY
        text = _with_methods(text, code)
    return text


def _with_methods(text: str, code: str) -> str:
    """A method that the class has is replaced, any other is added."""
    for method in re.split(r"\n(?=    def )", code.rstrip("\n")):
        name = re.match(r" *def (\w+)", method)[1]
        old = re.search(rf"^    def {name}\(.*?(?=^    (?:def|@)|\Z)", text, re.MULTILINE | re.DOTALL)
        if old is None:
            text = f"{text.rstrip()}\n\n{method.rstrip()}\n"
        else:
            after = "\n" if text[old.end() :].strip() else ""
            text = f"{text[: old.start()]}{method.rstrip()}\n{after}{text[old.end() :]}"
    return text


def write_source(folder: Path, *choices: str) -> Path:
    """A custom source file in a folder."""
    file = folder / f"{'_'.join(['acme', *choices])}.py"
    file.write_text(source_with(*choices), encoding="utf-8")
    return file
