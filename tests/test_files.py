import os
import stat

import pytest

from mien.files import put_in_place, replacing


def test_a_file_takes_its_place_only_when_all_is_written(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail():
        with replacing(file) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text() == "old"
    with replacing(file) as beside:
        beside.write_text("new")
        assert file.read_text() == "old"
        assert beside.suffix == ".txt"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_two_at_once_have_places_of_their_own_and_the_last_to_finish_stays(tmp_path):
    file = tmp_path / "a.txt"
    with replacing(file) as one:
        one.write_text("one")
        with replacing(file) as two:
            two.write_text("two")
        assert file.read_text() == "two"
    assert file.read_text() == "one"


def test_a_file_of_the_user_beside_it_is_left_alone(tmp_path):
    for name in (".a.part.txt", "a.part.txt"):
        (tmp_path / name).write_text("mine")
    with replacing(tmp_path / "a.txt") as beside:
        beside.write_text("new")
    assert (tmp_path / ".a.part.txt").read_text() == (tmp_path / "a.part.txt").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_are_kept_and_links_are_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    with replacing(link) as beside:
        beside.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    part = tmp_path / "part.txt"
    part.write_text("newer")
    assert put_in_place(part, link) == link
    assert link.is_symlink()
    assert real.read_text() == "newer"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "a.txt") as beside:
        beside.touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "usual").stat().st_mode
