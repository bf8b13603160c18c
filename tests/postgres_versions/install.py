"""Installs the PostgreSQL servers of ``package-lock.json``, next to this file: ``install.py FOLDER``. npm compares
what it downloads with the hashes there, and takes it from the registry that it is set up for.

No script of a package runs. All that theirs would do is make links between libraries, which is done here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", ".npmrc")


def install(folder: Path) -> None:
    """Replace the servers of a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True)
    for package in sorted(folder.glob("node_modules/postgres-*")):
        link(package)


def link(package: Path) -> None:
    """Make the links that the archive of a package cannot have, each within its folder."""
    for pair in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        at, to = package / pair["target"], package / pair["source"]
        if not os.path.lexists(at):
            at.symlink_to(os.path.relpath(to, at.parent))


if __name__ == "__main__":
    install(Path(sys.argv[1]))
