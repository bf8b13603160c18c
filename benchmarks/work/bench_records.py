"""The records that every side of a comparison moves: nested JSON of about 500 bytes. Imports no package."""

from typing import Any


def record(n: int) -> dict[str, Any]:
    """Record number ``n``; the same on every side and in every run."""
    return {
        "id": n,
        "name": f"creature {n}",
        "email": f"creature{n}@example.com",
        "active": n % 3 == 0,
        "score": n * 0.37,
        "tags": ["alpha", "beta", f"tag-{n % 100}"],
        "address": {
            "street": f"{n} Long Street",
            "city": "Springfield",
            "zip": f"{n % 100000:05d}",
            "geo": {"lat": n % 90 + 0.123456, "lon": n % 180 + 0.654321},
        },
        "history": [
            {"at": "2024-01-01T00:00:00Z", "event": "created", "by": f"user{n % 1000}"},
            {"at": "2024-06-01T00:00:00Z", "event": "updated", "by": f"user{n % 777}"},
        ],
        "note": "x" * 60,
    }


def large_record(n: int, kilobytes: int) -> dict[str, Any]:
    """One record that contains enough small ones to reach this size."""
    return {"id": n, "items": [record(n * 1000 + item) for item in range(kilobytes * 11 // 5)]}


def ground(n: int, rounds: int) -> int:
    """Work for the processor: ``rounds`` steps of a generator of pseudo-random numbers, in plain Python."""
    for _ in range(rounds):
        n = (n * 1103515245 + 12345) % 2147483648
    return n
