"""Sentences that the rules of plain English catch, with the rules, and sentences that they let pass."""

from docs.english_rules import OPENS_WITH_A_CLAUSE

CAUGHT = (
    ("What a broker has delivered and is not told yet that it may forget", {OPENS_WITH_A_CLAUSE, "is told"}),
    ("What is of another job, of an older epoch, or came before is left out", {OPENS_WITH_A_CLAUSE, "is of"}),
    ("Of two objects at the same page that of the later start counts", {OPENS_WITH_A_CLAUSE, "that of"}),
    ("What pages wait in between producer and consumer", {OPENS_WITH_A_CLAUSE}),
    ("One sentence. Who ended it was not noted.", {OPENS_WITH_A_CLAUSE}),
    ("The broker is away, trying on", {"away", "trying on"}),
    ("The staging table is made anew.", {"anew"}),
    ("The offsets of the group are not told.", {"is told"}),
    ("Such pages are kept beside the state.", {"beside"}),
    ("It stops after so many pages.", {"so many"}),
    ("A destination that says no ends the run.", {"says no"}),
    ("The cursor decides, as ever.", {"as ever"}),
    ("Both sides run in turn.", {"in turn"}),
    ("The token is forgiven for a while.", {"a while"}),
    ("A record that is no JSON", {"no X"}),
    ("The run goes on behind the last checkpoint.", {"goes behind"}),
    ("A class of one's own", {"one's own"}),
    ("As the guide has it, ids are stable.", {"has it"}),
    ("Another run is at work.", {"at work"}),
    ("It waits for ever.", {"for ever"}),
    ("The next run mends it.", {"mend"}),
)
PLAIN = (
    "Deliveries not acknowledged yet.",
    "Messages of another job or an older epoch, and repeats, are skipped.",
    "When two objects start at the same page, the later epoch wins.",
    "The broker is unreachable; retrying.",
    "Pages that wait more than a second to be written are spooled next to the state file.",
    "Stop after this many pages.",
    "A destination that refuses ends the run.",
    "Where pages wait between producer and consumer.",
    "What does it cost? About a tenth.",
    "There is no second ledger, and it is no longer read.",
    "There are so many rows that they are counted in two steps.",
    "Of course it can be read from `what is no code`.",
)
NAMES = (
    ("def test_what_is_missing_is_named(): ...", {OPENS_WITH_A_CLAUSE}),
    ("async def test_a_file_is_made_anew(): ...", {"anew"}),
    ("class TestRunsThatAreAway: ...", {"away"}),
    ("class TestRuns:\n    def test_whoever_asks_is_told(self): ...", {OPENS_WITH_A_CLAUSE, "is told"}),
    ("def test_a_missing_page_is_named(): ...", set()),
    ("def what_is_of_another_job(): ...", set()),
    ("class WhatIsAway: ...", set()),
)
"""Definitions: the name of a test is prose, another name is not."""
WRAPPED = ('def f():\n    """It waits for\n    ever."""\n', "if x:\n    # It waits for\n    # ever.\n    pass\n")
"""A docstring and a comment with "for ever" over two lines."""
