"""From the key ``pages`` to the style of paging."""

from typing import TYPE_CHECKING

from bizon.connectors.sources.rest.src import pages_config as config
from bizon.connectors.sources.rest.src.links import LinkHeader, NextUrl
from bizon.connectors.sources.rest.src.pages import Whole
from bizon.connectors.sources.rest.src.sized import Cursor, Keyset, Numbered, Offset

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.pages import PageStyle


def style_of(pages: config.PagesConfig) -> "PageStyle":
    """The style that the configuration names."""
    match pages:
        case config.CursorPages():
            return Cursor(pages)
        case config.NextUrlPages():
            return NextUrl(pages.next)
        case config.LinkHeaderPages():
            return LinkHeader(pages.header)
        case config.NumberPages():
            return Numbered(pages)
        case config.OffsetPages():
            return Offset(pages)
        case config.KeysetPages():
            return Keyset(pages)
    return Whole()
