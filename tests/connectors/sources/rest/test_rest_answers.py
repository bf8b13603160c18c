"""Formats of answers: by label, by configuration, and packed."""

import gzip

import pytest
from connectors.sources.rest.conftest import block, records_of
from standins.rest.server import Reply

from bizon.common.errors.errors import SourceFetchError

TWO = [{"id": 1, "name": 'Zoë, "the\nfirst"'}, {"id": 2, "name": ""}]
TEXTS = [{"id": "1", "name": 'Zoë, "the\nfirst"'}, {"id": "2", "name": ""}]
CSV = 'id,name\r\n1,"Zoë, ""the\nfirst"""\r\n\r\n2,\r\n'.encode()
LINES = b'{"id": 1, "name": "Zo\\u00eb, \\"the\\nfirst\\""}\n\n{"id": 2, "name": ""}\n'
XML = """<?xml version="1.0"?><r:list xmlns:r="urn:x"><item id="1"><name>Zoë, "the
first"</name></item><item id="2"><name/></item></r:list>""".encode()


def read(api, body, label, records="@", **keys):
    api.routes["/items"] = lambda asked: Reply(body, headers={"Content-Type": label})
    return [each.data for each in records_of(block(api, {"records": records, **keys}))]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("body", "label", "format", "found"),
    [
        (LINES, "application/x-ndjson", "auto", TWO),
        (LINES, "application/jsonl; charset=utf-8", "auto", TWO),
        (LINES, "application/octet-stream", "ndjson", TWO),
        (CSV, "text/csv", "auto", TEXTS),
        (CSV.decode().encode("latin-1"), "text/csv; charset=latin-1", "auto", TEXTS),
        (b"\xef\xbb\xbf" + CSV, "text/plain", "csv", TEXTS),
        (b'[{"id": 1}]', "application/gzip", "auto", [{"id": 1}]),
        (b'[{"id": 1}]', "application/json", "json", [{"id": 1}]),
    ],
)
def test_formats(api, body, label, format, found, pack):
    assert read(api, pack(body), label, format=format) == found


def test_xml(api):
    found = read(api, XML, "application/xml", records="list.item", id='"@id"')
    assert found == [{"@id": "1", "name": 'Zoë, "the\nfirst"'}, {"@id": "2", "name": ""}]


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("<list><items><item><id>1</id></item></items></list>", 1),
        ("<list><items/></list>", 0),
        ("<list><items></items></list>", 0),
    ],
)
def test_a_list_of_xml_with_one_item_or_none(api, body, count):
    assert len(read(api, body.encode(), "text/xml", records="list.items.item")) == count


@pytest.mark.parametrize(
    ("body", "label", "text"),
    [
        (b"<list><error>no</error></list>", "text/xml", "there is no list at 'list.items.item'"),
        (b"<list><items>", "text/xml", "not valid xml"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><list>&a;</list>', "text/xml", "a document type declaration is not accepted"),
        (b'{"id": 1}\n{"id": ', "application/x-ndjson", "not valid ndjson: line 2"),
        (b"id,name\n1,2,3\n", "text/csv", "line 2: 3 fields, and the header has 2"),
        (b"id,name\n1\n", "text/csv", "line 2: 1 fields"),
        (b"id,id\n1,2\n", "text/csv", "two columns have the same name"),
        (b'id\n"1\n', "text/csv", "not valid csv: line"),
        (gzip.compress(CSV, mtime=0)[:-10], "text/csv", "not valid csv"),
        (b"1\n2\n", "application/x-ndjson", "holds more than objects"),
        (b"id\n\xff\n", "text/csv", "not valid csv"),
        (b'{"message": "no such report"}', "text/csv", "not a header of columns"),
        (b"<html>we are down</html>", "text/csv", "not a header of columns"),
    ],
)
def test_a_body_in_another_format_is_an_error(api, body, label, text):
    with pytest.raises(SourceFetchError, match=text):
        read(api, body, label, records="list.items.item" if "xml" in label else "@")


def test_an_empty_body_of_lines_is_an_empty_list(api):
    assert read(api, b"", "application/x-ndjson") == []


def test_a_file_of_rows_without_rows_is_an_empty_list(api):
    assert read(api, b"id,name\n", "text/csv") == []


def test_xml_in_the_charset_of_its_declaration_or_of_its_label(api):
    text = '<?xml version="1.0" encoding="{}"?><list><item id="1">Zoë</item></list>'
    found = [{"@id": "1", "#text": "Zoë"}]
    for body, label in (
        (text.format("ISO-8859-1").encode("latin-1"), "application/xml"),
        (text.format("UTF-8").encode(), "application/xml; charset=utf-8"),
        (text.format("UTF-8").encode("latin-1"), "text/xml; charset=latin-1"),
        (text.format("UTF-16").encode("utf-16"), "application/xml"),
    ):
        assert read(api, body, label, records="list.item", id='"@id"') == found


def test_integers_of_lines_keep_their_digits(api):
    number = 2**63 + 1
    body = f'{{"id": 1, "n": {number}}}\n'.encode()
    assert read(api, body, "application/x-ndjson") == [{"id": 1, "n": number}]
