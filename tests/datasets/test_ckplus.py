import json

import numpy as np
import pytest
from click.testing import CliRunner

from mien.cli import commands
from mien.datasets import CkPlus
from mien.datasets.ckplus import CKEXTENDED_EXPRESSION, CKPLUS_EXPRESSION
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import drawn_face, encoded, noise, write_csv

FACES = [noise(48, 48, seed=i) for i in range(4)]


def write_sequence(root, subject, sequence, frames, label=None):
    folder = root / "cohn-kanade-images" / subject / sequence
    folder.mkdir(parents=True)
    for i in range(1, frames + 1):
        (folder / f"{subject}_{sequence}_{i:08d}.png").write_bytes(encoded(noise(8, 8, seed=i)))
    labels = root / "Emotion" / subject / sequence
    labels.mkdir(parents=True)
    if label is not None:
        (labels / f"{subject}_{sequence}_{frames:08d}_emotion.txt").write_text(f"   {label:.7e}\n")


@pytest.fixture
def original(tmp_path):
    """Two labelled sequences and one without a label."""
    write_sequence(tmp_path, "S005", "001", 5, 3)
    write_sequence(tmp_path, "S010", "002", 6, 7)
    write_sequence(tmp_path, "S010", "003", 4)
    return tmp_path


def write_classes(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(noise(48, 48)))
    return root


@pytest.fixture
def ck48(tmp_path):
    names = [f"CK+48/anger/S010_004_{i:08d}.png" for i in (17, 18, 19)] + ["CK+48/happy/S011_006_00000013.png"]
    return write_classes(tmp_path, *names)


def write_table(folder, rows):
    rows = [(label, " ".join(map(str, face.ravel())), usage) for label, face, usage in rows]
    return write_csv(folder / "ckextended.csv", ("emotion", "pixels", "Usage"), rows)


@pytest.fixture
def table(tmp_path):
    return write_table(
        tmp_path,
        [
            (6, FACES[0], "Training"),
            (7, FACES[1], "Training"),
            (0, FACES[2], "PublicTest"),
            (3, FACES[3], "PrivateTest"),
        ],
    )


def frames(data):
    return [s.source.rsplit("/", 1)[1][:-4] for s in data]


def test_labels_are_translated_from_ckplus_own_order():
    assert [CKPLUS_EXPRESSION[i].label for i in range(8)] == [
        "neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
    ]  # fmt: skip


def test_labels_of_the_table_are_translated_from_that_of_fer2013_with_contempt():
    assert [CKEXTENDED_EXPRESSION[i].label for i in range(8)] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt",
    ]  # fmt: skip


def test_the_last_three_frames_of_each_labelled_sequence_show_its_expression(original):
    data = CkPlus(original)
    assert frames(data) == [f"S005_001_{i:08d}" for i in (3, 4, 5)] + [f"S010_002_{i:08d}" for i in (4, 5, 6)]
    assert [s.expression for s in data] == data.labels == [Expression.DISGUST] * 3 + [Expression.SURPRISE] * 3
    assert [s.subject for s in data] == ["S005"] * 3 + ["S010"] * 3
    np.testing.assert_array_equal(data[0].image[:, :, 0], noise(8, 8, seed=3))


def test_the_folders_that_the_archives_make_are_found_too(original):
    (original / "extended-cohn-kanade-images").mkdir()
    (original / "cohn-kanade-images").rename(original / "extended-cohn-kanade-images" / "cohn-kanade-images")
    (original / "Emotion_labels").mkdir()
    (original / "Emotion").rename(original / "Emotion_labels" / "Emotion")
    assert len(CkPlus(str(original))) == 6


def test_the_number_of_peak_frames_is_a_choice(original):
    assert frames(CkPlus(original, peak_frames=1)) == ["S005_001_00000005", "S010_002_00000006"]
    assert len(CkPlus(original, peak_frames=99)) == 11
    with pytest.raises(InputError, match="peak_frames is 0; at least one"):
        CkPlus(original, peak_frames=0)


def test_the_first_frame_may_stand_for_neutral_and_is_then_no_peak(original):
    data = CkPlus(original, peak_frames=5, neutral=True)
    assert frames(data) == [f"S005_001_{i:08d}" for i in range(1, 6)] + [f"S010_002_{i:08d}" for i in range(1, 7)]
    assert [label.label for label in data.labels] == ["neutral"] + ["disgust"] * 4 + ["neutral"] + ["surprise"] * 5


@pytest.mark.parametrize("layout", ["original", "ck48", "table"])
def test_without_neutral_faces_it_says_that_it_has_none(layout, request):
    data = CkPlus(request.getfixturevalue(layout))
    assert data.expressions == tuple(e for e in Expression if e != Expression.NEUTRAL)
    assert Expression.NEUTRAL not in data.labels


def test_with_neutral_faces_all_eight_are_there(original):
    assert CkPlus(original, neutral=True).expressions == tuple(Expression)


@pytest.mark.parametrize("text", ["8", "-1", "nan", "inf", "", "happy"])
def test_a_label_that_ckplus_does_not_have_is_named_with_its_file(original, text):
    (original / "Emotion" / "S005" / "001" / "S005_001_00000005_emotion.txt").write_text(text)
    with pytest.raises(
        InputError, match=rf"S005_001_00000005_emotion\.txt: the label is '{text}'; CK\+ labels are 0 to 7"
    ):
        CkPlus(original)


def test_a_label_whose_frames_are_missing_is_named(original):
    (original / "cohn-kanade-images" / "S005").rename(original / "S005")
    with pytest.raises(InputError, match=r"_emotion\.txt: its frames are missing; there is no picture in .*S005/001"):
        CkPlus(original)


@pytest.mark.parametrize("folder", [".", "CK+48"])
def test_folders_a_class_give_subjects_by_the_names_of_their_files(ck48, folder):
    data = CkPlus(ck48 / folder)
    assert data.labels == [Expression.ANGER] * 3 + [Expression.HAPPINESS]
    assert [s.subject for s in data] == ["S010"] * 3 + ["S011"]


def test_of_folders_a_class_too_only_the_last_frames_of_a_sequence_may_be_wanted(ck48):
    write_classes(ck48, "CK+48/anger/S010_007_00000009.png")
    assert frames(CkPlus(ck48, peak_frames=1)) == ["S010_004_00000019", "S010_007_00000009", "S011_006_00000013"]


def test_a_copy_without_neutral_faces_refuses_to_give_them(ck48):
    with pytest.raises(InputError, match="holds no neutral faces; read it without neutral"):
        CkPlus(ck48, neutral=True)


def test_a_file_without_a_subject_in_its_name_is_named(ck48):
    write_classes(ck48, "CK+48/happy/photo.png")
    with pytest.raises(InputError, match=r"photo\.png: not named as a frame of CK\+"):
        CkPlus(ck48)


def test_a_folder_that_names_no_expression_is_named(ck48):
    write_classes(ck48, "CK+48/hungry/S011_006_00000013.png")
    with pytest.raises(InputError, match="'hungry' names no expression"):
        CkPlus(ck48)


@pytest.mark.parametrize(("split", "rows"), [(None, [1, 2, 3]), ("train", [1]), ("valid", [2]), ("test", [3])])
def test_the_table_has_splits_of_its_own_and_no_subjects(table, split, rows):
    data = CkPlus(table.parent, split)
    assert [s.source for s in data] == [f"ckextended.csv:{i}" for i in rows]
    assert {s.subject for s in data} == {None}
    np.testing.assert_array_equal(data[0].image[:, :, 0], FACES[rows[0]])


def test_the_table_may_be_named_itself_and_has_neutral_faces(table):
    data = CkPlus(table, neutral=True)
    assert [label.label for label in data.labels] == ["neutral", "contempt", "anger", "happiness"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((8, FACES[1], "Training"), r"row 1: the label is '8'; ckextended\.csv has 0 to 7"),
        ((1, FACES[1], "Dev"), "row 1: the usage is 'Dev'; expected Training, PublicTest, PrivateTest"),
    ],
)
def test_a_row_of_the_table_that_is_wrong_is_named(tmp_path, row, said):
    write_table(tmp_path, [(1, FACES[0], "Training"), row])
    with pytest.raises(InputError, match=said):
        CkPlus(tmp_path)


def test_splits_share_nobody_and_together_are_everything(tmp_path):
    names = [f"fear/S{100 + i}_001_00000001.png" for i in range(12)]
    write_classes(tmp_path, *names, "sad/S103_002_00000001.png")
    subjects = {split: {s.subject for s in CkPlus(tmp_path, split)} for split in ("train", "valid", "test")}
    assert subjects["test"] == {"S100", "S110"}
    assert subjects["valid"] == {"S101", "S111"}
    assert subjects["train"] == {f"S{100 + i}" for i in range(2, 10)}
    assert sum(len(CkPlus(tmp_path, split)) for split in subjects) == len(CkPlus(tmp_path)) == 13


def test_a_split_that_does_not_exist_or_is_empty_is_refused(ck48):
    with pytest.raises(InputError, match=r"no split 'dev'; CK\+ is read as train, valid, test"):
        CkPlus(ck48, "dev")
    with pytest.raises(InputError, match=r"CK\+ without any labelled face in the split 'train'"):
        CkPlus(ck48, "train")


def test_a_folder_of_another_layout_is_told_what_was_looked_for_and_what_is_there(original):
    (original / "Emotion").rename(original / "Labels")
    with pytest.raises(InputError, match=r"expected CK\+: cohn-kanade-images/ .*; found Labels/, cohn-kanade-images/"):
        CkPlus(original)
    with pytest.raises(InputError, match="absent: there is no such") as caught:
        CkPlus(original / "absent")
    assert caught.value.status == "missing"


def test_the_reader_is_measured_on_it_with_neutral_masked(tmp_path):
    for i, (kind, smiling) in enumerate((("happy", True), ("happy", True), ("contempt", True), ("sadness", False))):
        path = tmp_path / kind / f"S{100 + i}_001_00000001.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(drawn_face(smiling, seed=i)))
    output = tmp_path / "result.json"
    arguments = ["evaluate", "reader", "--data", f"ckplus:{tmp_path}", "--resamples", "20", "-o", str(output)]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output
    result = json.loads(output.read_text())
    assert (result["n"], result["protocol"], result["masked"]) == (4, "single label", ["neutral"])
    assert result["per_class"]["happiness"]["n"] == 2
    assert sum(row[Expression.NEUTRAL] for row in result["confusion"]) == 0
