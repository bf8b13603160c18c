"""The bare fetch loop over several streams at once: every page of the slow server for each, and no loading."""

import sys
from concurrent.futures import ThreadPoolExecutor

import requests

url, streams, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def fetch(_stream: int) -> None:
    session = requests.Session()
    page = 0
    while page is not None:
        page = session.get(f"{url}/{page}").json()["next"]


with ThreadPoolExecutor(at_once) as pool:
    list(pool.map(fetch, range(streams)))
