"""The notes of ``docs/reference-connector.md``, by file and by the name of the code that follows each."""

INTRODUCTION = """
The source `notion`, file by file, in the order in which you would write it. Its API has most of what makes a source
hard: nested objects, results that are cut off, coarse timestamps, rate limits, and permissions per object.
[The guide](contributing/adding-sources.md) explains the interface; [its own page](sources/notion.md) says what users
get. All code on this page is the code that runs.

| question | answer here |
|---|---|
| Where does the position live? | in the pagination, and nowhere else; attributes hold caches that may be lost |
| What makes a page of the source? | one request per worker, so that a crash costs little |
| What if a list of parents is long? | the pagination names one page of it, never all |
| What if the API leaves out results? | the query is split; if it cannot be, the run fails |
| What if an object is forbidden? | the run fails, unless the user wants it skipped and counted |
| What is an edit? | a time in a half-open window; repeats in the overlap of two windows are dropped |
"""

FILES: dict[str, tuple[str, dict[str, str]]] = {
    "config/notion.example.yml": (
        "The example",
        {"": "Begin with the file that a user writes. A test validates it."},
    ),
    "src/config.py": (
        "The configuration",
        {
            "": "The streams are an enum of the same folder, so `bizon source list` reads them without an import. This "
            "file loads nothing heavy: validation stays fast.",
            "NotionAuthConfig": "Narrow `type` and `params`: another kind of authentication is then a configuration "
            "error with a line number.",
            "NotionSourceConfig": "Every field has a bound and a description with its unit; the reference page comes "
            "from them.",
            "NotionSourceConfig._are_ids": "Accept an id in the forms in which people copy it, and store one form: ids "
            "are compared with answers of the API later. Ids become parts of paths, so nothing else passes.",
            "NotionSourceConfig._stream_has_input": "A stream without input would succeed with nothing. Refuse it, and "
            "name the way out.",
        },
    ),
    "src/pace.py": (
        "The budget of requests",
        {
            "": "Several workers share one budget, so there is one bucket per session. The session calls `wait` before "
            "every attempt and `hold` after a refusal; no other code needs to know. Clocks are parameters, so tests "
            "need no real time. `pause` ends when the run must end; `time.sleep` would not."
        },
    ),
    "src/client.py": (
        "The endpoints",
        {
            "": "One place knows paths and the shape of answers. The session retries and authenticates; nothing here "
            "does.",
            "NotionClient._list": "Check what the rest relies on. A list that claims to continue but has no cursor "
            "must not look like its end. Notion cuts long lists off with `has_more: false`; the sign is "
            "`request_status`.",
            "NotionClient._send": "Give an error that a user can act on a class of its own, and the original as its "
            "cause.",
        },
    ),
    "src/access.py": (
        "Workers, and objects that are not shared",
        {
            "": "Results come in the order of the items, whatever thread was first: the same pagination must lead to "
            "the same page. The default for an object that is not shared is an error."
        },
    ),
    "src/windows.py": (
        "Windows of time",
        {
            "": "Pure functions are easy to test: no request, no clock.",
            "halves": "Two halves meet, at a whole minute. The outer ends stay open, so that rows which are created "
            "meanwhile are in the last window.",
            "combined": "The filter of the user joins ours within the two levels that Notion allows.",
        },
    ),
    "src/queries.py": (
        "Rows of a database",
        {
            "": "A place says which data source, which windows are left, and the cursor. Splitting halves a window, so "
            "even ten years are split down to a minute with some twenty windows.",
            "DatabaseQueries.read": "The sign that a query is cut off may come on any of its pages. Rows that went out "
            "before it are remembered, at most as many as one query returns.",
            "DatabaseQueries._narrowed": "A minute is the smallest window, because timestamps are cut to it. If a "
            "minute holds too many rows, fail: a shorter output would look complete.",
        },
    ),
    "src/edits.py": (
        "Incremental windows",
        {
            "": "The engine gives the window, in whole minutes because the source declares `cursor_resolution = 60`. "
            "Here it ends two minutes ago as well, since an edit becomes visible late.",
            "Delivered": "Windows that overlap deliver edits twice. `next_state` carries the ids of the overlap to the "
            "next run; it is bounded by the overlap, not by the stream.",
            "Delivered.is_new": "An edit in the minute that is still in progress must come again: its time would not "
            "show a second edit.",
        },
    ),
    "src/listings.py": (
        "Which pages",
        {
            "": "Two kinds of input, one interface. Streams of pages and streams of blocks use the same listings, so "
            "they agree about filters, edits and permissions.",
            "rest_of": "The work list is in the configuration, so the pagination holds only the current id.",
        },
    ),
    "src/search.py": (
        "Everything of one kind",
        {
            "": "A list that is sorted by a changing time is never at rest: an object that is edited moves out of the "
            "way of the cursor. This is the place where a full refresh would lose objects without an error. The ids "
            "that were seen are at most as many as one search returns.",
            "Search._after": "Two places must differ even if their cursors do not: bizon takes a pagination that comes "
            "twice for a run that never ends.",
        },
    ),
    "src/tree.py": (
        "A walk through a tree",
        {
            "": "The walk is data: a list of blocks whose children are still to be read. It travels in the pagination, "
            "and holds only the siblings on the way down, not the tree.",
            "TreeWalker.step": "A step takes a state and returns the next one; it changes nothing. That is what lets a "
            "run resume at any step.",
            "TreeWalker._below": "Count what a limit leaves out, and say so at the end.",
        },
    ),
    "src/walk.py": (
        "Trees of many pages",
        {
            "": "A stack of levels follows inline databases to any depth, in memory and state that grow with the depth "
            "only.",
            "BlockWalk.step": "Steps that find no blocks are repeated here, so that a page of the source has records.",
        },
    ),
    "src/source.py": (
        "The source",
        {
            "": "The class puts the parts together and dispatches by stream.",
            "NotionSource.get_retry_policy": "Defaults of an API yield to keys that the user has set.",
            "NotionSource.check_connection": "A request that fails with wrong credentials, and costs little.",
            "NotionSource.get_records_after": "Streams that cannot be filtered say so.",
            "NotionSource._edited": "The window is decided once, on the first page. Then it travels in the pagination: "
            "a run that resumes later must not move it.",
            "NotionSource._iteration": "One place returns pages, so window, state and counts are never forgotten.",
        },
    ),
}

OTHER_FILES = {
    "src/objects.py": "streams of users, databases and data sources",
    "src/properties.py": "relations longer than a page object holds",
    "src/records.py": "the records of each stream",
    "src/markdown.py": "blocks as Markdown",
    "src/rich_text.py": "rich text as Markdown",
}
