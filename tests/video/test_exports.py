import gzip
import json
from xml.etree import ElementTree

import pytest

from mien.video.bids import write_bids
from mien.video.elan import write_elan
from mien.video.events import events
from mien.video.series import MEASURES, recordings
from tests.video.test_events import RATE, row


@pytest.fixture
def clip():
    rows = [row(n, AU12=0.8 * (10 <= n < 20), happiness=0.9 * (12 <= n < 20)) for n in range(30)]
    return recordings(rows + [row(n, track=1) for n in range(5, 10)])[0]


def test_elan_has_a_tier_for_expressions_and_one_for_each_action_unit_in_milliseconds(clip, tmp_path):
    write_elan(tmp_path / "clip.eaf", "clip.mp4", events(clip))
    root = ElementTree.parse(tmp_path / "clip.eaf").getroot()
    times = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(times.values()) == sorted(times.values())
    tiers = {
        tier.get("TIER_ID"): [
            (times[a.get("TIME_SLOT_REF1")], times[a.get("TIME_SLOT_REF2")], a.findtext("ANNOTATION_VALUE"))
            for a in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in root.iter("TIER")
    }
    assert tiers == {"0/expression": [(600, 1000, "happiness")], "0/AU12": [(500, 1000, "AU12 0.80")]}
    assert {p.get("NAME"): p.text for p in root.iter("PROPERTY")}["mien_action_unit_enter"] == "0.4"
    assert root.find("HEADER/MEDIA_DESCRIPTOR").get("MEDIA_URL").endswith("/clip.mp4")


def test_elan_is_opened_by_another_program(clip, tmp_path):
    elan = pytest.importorskip("pympi.Elan")
    write_elan(tmp_path / "clip.eaf", "clip.mp4", events(clip))
    file = elan.Eaf(str(tmp_path / "clip.eaf"))
    assert sorted(file.get_tier_names()) == ["0/AU12", "0/expression"]
    assert list(file.get_annotation_data_for_tier("0/expression")) == [(600, 1000, "happiness")]


def test_bids_has_no_header_an_even_rate_and_a_description_beside_it(clip, tmp_path):
    paths = write_bids(tmp_path, "clip", clip, rate=10)
    assert [p.name for p in paths] == ["clip_recording-face0_physio.tsv.gz", "clip_recording-face1_physio.tsv.gz"]
    lines = [line.split("\t") for line in gzip.decompress(paths[0].read_bytes()).decode().splitlines()]
    about = json.loads((tmp_path / "clip_recording-face0_physio.json").read_text())
    assert (about["SamplingFrequency"], about["StartTime"], about["Columns"]) == (10, 0.0, list(MEASURES))
    assert "interpolated" in about["Description"]
    column = about["Columns"].index("AU12")
    assert [float(line[column]) for line in lines] == [0.8 if 5 <= n < 10 else 0 for n in range(15)]
    assert json.loads((tmp_path / "clip_recording-face1_physio.json").read_text())["StartTime"] == 5 / RATE


def test_what_was_not_seen_is_not_made_up(tmp_path):
    (clip,) = recordings(
        [row(n, AU12=0.5) for n in [*range(5), *range(15, 20)]] + [row(n, track=None) for n in range(5, 15)]
    )
    (path,) = write_bids(tmp_path, "clip", clip)
    lines = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    assert [line[MEASURES.index("AU12")] for line in lines] == ["0.5000"] * 5 + ["n/a"] * 10 + ["0.5000"] * 5
