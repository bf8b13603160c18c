"""Where the files of a new connector go."""

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.scaffold.files import Place, target_of, write_files


def make_checkout(folder, name="bizon"):
    (folder / "bizon/connectors").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')


def test_a_checkout_means_its_tree_unless_a_folder_is_given(tmp_path):
    make_checkout(tmp_path)
    assert target_of(None, package=False).place is Place.TREE
    assert target_of(".", package=False).place is Place.FILE
    assert target_of(None, package=True).place is Place.PACKAGE


def test_another_folder_means_files(tmp_path):
    assert target_of(None, package=False).place is Place.FILE
    make_checkout(tmp_path, name="other")
    assert target_of(None, package=False).place is Place.FILE


def test_a_file_as_folder_is_refused(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match=r"--into a: not a folder"):
        target_of("a", package=False)


def test_nothing_is_written_when_one_file_exists(tmp_path):
    (tmp_path / "b.py").write_text("mine")
    with pytest.raises(ConfigError, match=r"b\.py exists already, and nothing was written"):
        write_files(tmp_path, {"new/a.py": "a", "b.py": "b"})
    assert (tmp_path / "b.py").read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_a_link_to_nowhere_is_not_followed(tmp_path):
    (tmp_path / "b.py").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="exists already"):
        write_files(tmp_path, {"b.py": "b"})
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match=r"a/b\.py cannot be written: (File exists|Not a directory)"):
        write_files(tmp_path, {"a/b.py": "b"})


def test_files_are_written_with_their_folders(tmp_path):
    assert write_files(tmp_path, {"x/y/a.py": "é\n"}) == [tmp_path / "x/y/a.py"]
    assert (tmp_path / "x/y/a.py").read_bytes() == "é\n".encode()
