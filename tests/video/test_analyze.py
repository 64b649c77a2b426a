import numpy as np
import pytest

import mien
from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.results.face import Face
from mien.video.analyze import Follower, analyze_video, read_frames
from mien.video.frames import Frame, frames
from tests.video.clips import blank, head, scene, write_clip

RATE = 25


def clip(pictures):
    return [Frame(n, n / RATE, picture) for n, picture in enumerate(pictures)]


def tracks(reports):
    return [report.tracks for report in reports]


@pytest.fixture(scope="module")
def walk():
    """A second in which a face walks by."""
    return clip([scene([(200 + 3 * n, 180, 170)]) for n in range(RATE)])


def test_a_face_that_moves_keeps_its_track(walk):
    assert tracks(read_frames(walk)) == [(0,)] * RATE


def test_searching_every_frame_reads_it_as_a_photograph(walk):
    for frame, report in zip(walk[:3], read_frames(walk[:3], detect_every=1), strict=True):
        photograph = mien.analyze(frame.image)
        assert report.report.to_dict() == photograph.to_dict()


def test_following_a_face_changes_little_of_what_is_read(walk):
    every = [r.report.faces[0].expression.probabilities for r in read_frames(walk, detect_every=1)]
    followed = [r.report.faces[0].expression.probabilities for r in read_frames(walk)]
    assert np.abs(np.array(every) - followed).mean() < 0.02


def test_between_searches_the_detector_does_not_see_the_whole_frame(walk, monkeypatch):
    follow, searched = Follower(detect_every=5), []
    detect = follow._pipeline.detect
    monkeypatch.setattr(follow._pipeline, "detect", lambda image: searched.append(1) or detect(image))
    for frame in walk[:20]:
        follow(frame)
    assert len(searched) == 4


def test_frames_far_apart_are_searched_each(walk, monkeypatch):
    follow, searched = Follower(), []
    detect = follow._pipeline.detect
    monkeypatch.setattr(follow._pipeline, "detect", lambda image: searched.append(1) or detect(image))
    for frame in walk[::5]:
        follow(frame)
    assert len(searched) == 5


def test_two_faces_that_cross_keep_their_tracks_and_have_one_row_each_a_frame():
    # The smaller one is behind for a while; then each is where it was going.
    pictures = [scene([(120 + 8 * n, 190, 130), (520 - 8 * n, 170, 175)]) for n in range(50)]
    seen = tracks(read_frames(clip(pictures)))
    assert seen[0] == seen[-1] == (0, 1)
    assert {track for each in seen for track in each} == {0, 1}
    assert all(len(set(each)) == len(each) for each in seen)
    reports = list(read_frames(clip(pictures)))
    sizes = [
        dict(zip(r.tracks, (f.box[2] - f.box[0] for f in r.report.faces), strict=True))
        for r in (reports[0], reports[-1])
    ]
    assert sizes[0][0] / sizes[0][1] == pytest.approx(sizes[1][0] / sizes[1][1], rel=0.15)


def test_a_face_that_leaves_for_half_a_second_comes_back_as_the_same_track():
    pictures = [scene([(200 + 3 * n, 180, 170)] if not 10 <= n < 22 else []) for n in range(34)]
    seen = tracks(read_frames(clip(pictures)))
    assert seen[9] == (0,)
    # A face that is gone is missed in the third frame at the latest.
    assert seen[12:22] == [()] * 10
    assert seen[-1] == (0,)
    assert {track for each in seen for track in each} == {0}


def test_a_cut_ends_every_track():
    before = [scene([(200, 180, 170), (450, 180, 150)], gray=40)] * 8
    after = [scene([(205, 180, 170), (450, 190, 150)], gray=210)] * 8
    seen = tracks(read_frames(clip([*before, *after])))
    assert seen == [(0, 1)] * 8 + [(2, 3)] * 8


def test_nobody_in_sight_is_a_frame_without_faces(tmp_path):
    path = write_clip(tmp_path / "blank.avi", [blank(90, (120, 160))] * 3)
    assert [(r.tracks, r.report.status) for r in analyze_video(path)] == [((), "no_face")] * 3


def test_a_detector_and_a_reader_of_ones_own_take_part(tmp_path):
    face = Face(np.array([10, 10, 50, 50], np.float32), None, 0.4)
    path = write_clip(tmp_path / "blank.avi", [blank(90, (120, 160))] * 3)
    reports = analyze_video(path, detect=lambda image: [face])
    assert tracks(reports) == [(0,)] * 3


def test_a_clip_of_crops_is_one_track(tmp_path):
    path = write_clip(tmp_path / "crop.avi", [head()] * 3)
    assert tracks(analyze_video(path, assume_crop=True)) == [(0,)] * 3


def test_the_json_form_has_frame_timestamp_and_track(walk):
    whole = next(read_frames(walk)).to_dict()
    assert (whole["frame"], whole["timestamp"], whole["faces"][0]["track"]) == (0, 0.0, 0)
    assert whole["faces"][0]["expression"]["top"] == Expression.HAPPINESS.label


def test_a_clip_that_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        analyze_video(tmp_path / "none.mp4")


@pytest.mark.parametrize("options", [{"smooth": -1}, {"detect_every": 0}, {"fps": -1}])
def test_options_that_mean_nothing_are_refused_at_once(tmp_path, options):
    path = write_clip(tmp_path / "one.avi", [blank()])
    with pytest.raises(InputError):
        analyze_video(path, **options)


def test_a_frame_size_that_changes_midway_is_read_on(walk):
    larger = [Frame(n, n / RATE, scene([(300, 270, 255)], (540, 960))) for n in range(5, 10)]
    seen = tracks(read_frames([*walk[:5], *larger]))
    assert [len(each) for each in seen] == [1] * 10


def test_what_is_exported_is_there():
    assert mien.analyze_video is analyze_video
    assert mien.frames is frames
    assert mien.FrameReport.__name__ == "FrameReport"


def test_many_cameras_share_what_looks_for_faces():
    read = Pipeline().read
    first, second = (Follower(read=read) for _ in range(2))
    assert first._pipeline.detect is second._pipeline.detect
    assert first._windows is second._windows
    assert Follower(read=read, threshold=0.6)._pipeline.detect is not first._pipeline.detect
