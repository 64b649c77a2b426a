import numpy as np

from mien.facs.landmarks import MESH_TO_68, MIRRORED_68, mean_face


def test_the_index_tables_name_68_points_each_and_mirroring_twice_changes_nothing():
    assert len(set(MESH_TO_68)) == len(set(MIRRORED_68)) == 68
    assert MIRRORED_68[MIRRORED_68].tolist() == list(range(68))
    # Jaw, brow, nose, eye and mouth corners of one side stand for those of the other.
    assert [int(MIRRORED_68[i]) for i in (0, 8, 17, 31, 36, 39, 48, 60)] == [16, 8, 26, 35, 45, 42, 54, 64]


def test_the_mean_face_lies_in_its_crop_and_is_nearly_its_own_mirror_image():
    face = mean_face()
    assert face.shape == (68, 2)
    assert 0 < face.min() < face.max() < 1
    np.testing.assert_allclose(face, (face * [-1, 1] + [1, 0])[MIRRORED_68], atol=0.06)
