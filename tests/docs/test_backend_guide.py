"""adding-backends.md: the test on the page is collected and passes."""

from pathlib import Path

from inner import passes

GUIDE = Path(__file__).parents[2] / "docs/contributing/adding-backends.md"


def test_the_suite_is_claimed_as_the_guide_shows(pages, tmp_path):
    (page,) = [page for page in pages if page.path == GUIDE]
    (tmp_path / "test_mine.py").write_text(page.block("python", "SharedBackendConformance"))
    passes("-k", "lease and not starts", ".", cwd=tmp_path)
