"""adding-backends.md: the test on the page is collected and passes."""

import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/contributing/adding-backends.md"


def test_the_suite_is_claimed_as_the_guide_shows(pages, tmp_path):
    (page,) = [page for page in pages if page.path == GUIDE]
    (tmp_path / "test_mine.py").write_text(page.block("python", "SharedBackendConformance"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "lease and not starts", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
