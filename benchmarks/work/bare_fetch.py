"""The bare fetch loop: every page of the slow server through one session that keeps its connection, and no loading."""

import sys

import requests

session = requests.Session()
page = 0
while page is not None:
    page = session.get(f"{sys.argv[1]}/{page}").json()["next"]
