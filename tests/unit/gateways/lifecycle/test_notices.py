"""The notice about images that a run made and that are not delivered."""

from dataclasses import replace

import pytest

from contracts.renders import Output
from services.gateways.runtime.lifecycle.endings import notices_about
from tests.fakes.provider import DONE, a_command

OUTPUTS = tuple(Output(path=f"/view?filename={n}.png") for n in range(4))


@pytest.mark.parametrize(
    ("outputs", "dropped", "images"),
    [
        (1, 0, None),
        (2, 0, "1 more image"),
        (4, 0, "3 more images"),
        (1, 1, "1 more image"),
        (1, 3, "3 more images"),
        (3, 2, "4 more images"),
    ],
)
def test_the_notice_counts_all_images_but_one(outputs: int, dropped: int, images: str | None) -> None:
    status = replace(DONE, outputs=OUTPUTS[:outputs], dropped=OUTPUTS[:dropped])
    messages = [notice.message for notice in notices_about(a_command(), status)]
    assert messages == [f"Each run made {images} than the one that is delivered."] * (images is not None)
