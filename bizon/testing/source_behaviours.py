"""All behaviours of a source, for pytest and for ``bizon source test``."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bizon.testing.source_credentials import CredentialBehaviours
from bizon.testing.source_declarations import DeclarationBehaviours
from bizon.testing.source_http import HttpBehaviours
from bizon.testing.source_incremental import IncrementalBehaviours
from bizon.testing.source_last_page import LastPageBehaviours
from bizon.testing.source_paging import PagingBehaviours
from bizon.testing.source_partitions import PartitionBehaviours
from bizon.testing.source_secrets import SecretBehaviours

if TYPE_CHECKING:
    from bizon.testing.source_subject import Subject

PREFIX = "test_"


class SourceBehaviours(
    DeclarationBehaviours,
    CredentialBehaviours,
    PagingBehaviours,
    LastPageBehaviours,
    HttpBehaviours,
    IncrementalBehaviours,
    PartitionBehaviours,
    SecretBehaviours,
):
    """Every behaviour is a method whose name begins with ``test_``. It raises BehaviourError or an error of the source
    when the source lacks it, and NotApplicable when the source cannot have it."""


def behaviours() -> Iterator[tuple[str, Callable[["Subject"], None]]]:
    """Each behaviour and its name in words, in the order in which they are defined."""
    suite = SourceBehaviours()
    for part in SourceBehaviours.__bases__:
        for name in vars(part):
            if name.startswith(PREFIX):
                yield name.removeprefix(PREFIX).replace("_", " "), getattr(suite, name)
