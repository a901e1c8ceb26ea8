"""The zip archive for Fal's trainer: names, order, captions, rejected files."""

import io
import zipfile

import pytest

from services.gateways.fal import archives
from services.gateways.fal.archives import archive
from services.gateways.fal.training import percent_in
from services.gateways.kit.provider import Rejected

PNG, JPEG, WEBP = b"\x89PNG one", b"\xff\xd8\xff two", b"RIFF....WEBP three"


def unpacked(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        return [(name, opened.read(name)) for name in opened.namelist()]


def test_each_image_has_its_caption_beside_it_under_the_same_name() -> None:
    captions = ("mia7, front view", "left profile", "")
    assert unpacked(archive([PNG, JPEG, WEBP], captions, "mia7")) == [
        ("000.png", PNG),
        ("000.txt", b"mia7, front view"),
        ("001.jpg", JPEG),
        ("001.txt", b"mia7, left profile"),
        ("002.webp", WEBP),
        ("002.txt", b"mia7"),
    ]


def test_without_captions_there_are_images_only() -> None:
    assert [name for name, _ in unpacked(archive([PNG, PNG], (), "mia7"))] == ["000.png", "001.png"]


def test_names_sort_as_the_images_come_also_beyond_a_hundred() -> None:
    names = [name for name, _ in unpacked(archive([PNG] * 101, (), "mia7"))]
    assert names == sorted(names)


def test_fewer_captions_than_images_leave_the_rest_to_the_trigger_word() -> None:
    assert unpacked(archive([PNG, PNG], ("mia7 smiling",), "mia7"))[-1] == ("001.txt", b"mia7")


def test_the_same_images_give_the_same_bytes() -> None:
    assert archive([PNG, JPEG], ("a", "b"), "mia7") == archive([PNG, JPEG], ("a", "b"), "mia7")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg>", b"PK\x03\x04"])
def test_a_file_that_is_no_image_is_rejected(data: bytes) -> None:
    with pytest.raises(Rejected) as raised:
        archive([PNG, data], (), "mia7")
    assert raised.value.code == "invalid_input"
    assert "image 1" in raised.value.message


def test_an_archive_above_the_upload_limit_is_left_to_another_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archives, "LARGEST_ARCHIVE", 2 * len(PNG))
    assert archive([PNG, PNG], (), "mia7")
    with pytest.raises(Rejected) as raised:
        archive([PNG, PNG, PNG], (), "mia7")
    assert raised.value.code == "unsupported"


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        ([{"message": " 45%|████▌     | 450/1000 [00:46<00:57, 9.6it/s]"}], 45),
        ([{"message": "  5%|▌ | 50/1000"}, {"message": " 60%|██████ | 600/1000"}, {"message": "saving"}], 60),
        ([{"message": " 10%|█ | 1/10\r 20%|██ | 2/10"}], 20),
        ([{"message": "999%|"}], 100),
        ([{"message": "100% done"}, {"message": None}, "odd", {}], None),
        ([], None),
        (None, None),
        ({"message": "45%|"}, None),
    ],
)
def test_progress_is_the_last_bar_in_the_logs(logs: object, percent: int | None) -> None:
    assert percent_in(logs) == percent
