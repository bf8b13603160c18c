"""The code of a guide, assembled as its reader does: a source, and the methods that replace some of its own."""

import re
from pathlib import Path

from docs.conftest import Page

MODULE = "# bizon/connectors/sources/myapi/src/source.py"
_IMPORTS = re.compile(r"^(?:from \S+ import .*|import \S+)$", re.MULTILINE)
HEAD = """
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from time import monotonic

from requests import PreparedRequest

from bizon.common.clock import utc_now
from bizon.common.safe_log import logger
from bizon.common.secret import learn
from bizon.common.waiting import back_off, rest
from bizon.source.ahead import Ahead
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.config import HttpRetriesConfig
from bizon.source.models import SourceIncrementalState
from bizon.source.session import Session
"""


class Snippet:
    """A block of methods, or of classes, that the guide adds to its source. ``shows``: a text that only it contains."""

    def __init__(self, name: str, shows: str, extends: str = "MyApiSource") -> None:
        self.name = name
        self.extends = extends
        self.shows = shows

    def code(self, guide: Page) -> str:
        """The block as a class that extends the source of the guide; module-level code as it is."""
        block = guide.block("python", self.shows)
        if not block.startswith(" "):
            return _IMPORTS.sub("", block).strip() + "\n"
        return f'class {self.name}({self.extends}):\n    """A variant."""\n\n{block}'


SNIPPETS = (
    Snippet("Objects", "class MyObjectSource("),
    Snippet("Shared", "def places_of"),
    Snippet("Posted", "/search"),
    Snippet("Numbered", "class NumberedSource("),
    Snippet("Children", "_page_of_users"),
    Snippet("Graph", "/graphql"),
    Snippet("NestedGraph", "def _with_all_orders", extends="Graph"),
    Snippet("LoginSession", "class LoginSession("),
    Snippet("LoggedIn", "return LoginSession("),
    Snippet("Counted", "def get_total_records_count"),
    Snippet("Limited", "def _seconds_to_wait"),
    Snippet("AskedPauses", "class AskedPauses:"),
    Snippet("Paused", "session.keep_pace(pauses)"),
    Snippet("EitherKind", "isinstance(params, BasicHttpAuthParams)"),
    Snippet("Reports", "def _report"),
    Snippet("Patient", "def get_retry_policy"),
    Snippet("Filtered", 'window["updated_before"]'),
    Snippet("Tokens", "next_sync_token"),
    Snippet("FilteredHere", "source_state.covers(moment)"),
    Snippet("Tombstones", "deleted_at"),
    Snippet("Days", "def get_partitions"),
)
BY_NAME = {snippet.name: snippet for snippet in SNIPPETS}


SIGNED = (  # the changes of a reader whose API wants signed requests
    ("authenticators.token import TokenAuthParams", "authenticators.basic import BasicHttpAuthParams"),
    ("params: TokenAuthParams", "params: BasicHttpAuthParams"),
    ("Literal[AuthType.API_KEY, AuthType.BEARER]", "Literal[AuthType.BASIC]"),
    ("from bizon.source.auth.builder import AuthBuilder\n", ""),
)
AUTHENTICATOR = "    def get_authenticator(self) -> AuthBase | None:\n"


def module_with(guide: Page, *names: str) -> str:
    """The source of the guide with these snippets: the text of a custom source file."""
    base = _headed(guide.block("python", MODULE), HEAD)
    return "\n\n".join([base, *(BY_NAME[name].code(guide) for name in names)])


def signed_module(guide: Page) -> str:
    """The source of the guide, for an API that wants signed requests."""
    base = guide.block("python", MODULE)
    for before, after in SIGNED:
        assert before in base
        base = base.replace(before, after)
    imports, signature = guide.block("python", "class SignedRequests(").split("\n\n\n", 1)
    old = f"{AUTHENTICATOR}{base.split(AUTHENTICATOR)[1].split('    def ')[0]}"
    base = base.replace(old, guide.block("python", "return SignedRequests(") + "\n")
    base = base.replace("from requests.auth import AuthBase\n", "")  # among the imports of the signature
    first, rest = _headed(base, imports).split("\n\n\nclass ", 1)
    return f"{first}\n\n\n{signature}\n\nclass {rest}"


def _headed(module: str, imports: str) -> str:
    first, rest = module.split("\n", 1)
    return f"{first}\n{imports}\n{rest}"


def write_custom(folder: Path, guide: Page, *names: str) -> Path:
    """A custom source file in a folder."""
    file = folder / "my_source.py"
    file.write_text(module_with(guide, *names), encoding="utf-8")
    return file
