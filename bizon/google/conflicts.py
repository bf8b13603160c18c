"""Changes that BigQuery takes back because another change of the same table came first.

BigQuery changes a table by optimistic transactions: of two that meet, one is aborted, and nothing of it stays. The
answer is an error without a reason of its own (``invalidQuery``, HTTP 400 or 409), so only its text tells. The
change that came first may have been the same one, so it must be safe to repeat.
"""

_TEXT = "due to concurrent update"  # "Could not serialize access to table T ...", "Transaction is aborted ..."


def is_conflict(text: str) -> bool:
    """Whether the text of an error says that another change came first."""
    return _TEXT in text
