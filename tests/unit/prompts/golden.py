"""Golden files with the prompts of typical requests. Review every change of them.

`python -m tests.unit.prompts.golden` rewrites the files.
"""

from pathlib import Path
from typing import Any, Final

from contracts.characters import Appearance, Character, Identity
from prompts.preview import as_text, preview
from prompts.renders import ImageRequest
from tests.unit.prompts.examples import BASE_IMAGE, JOB, LORA, MIA, requested

FOLDER: Final = Path(__file__).parent / "golden"

MARA = Character(
    name="Mara",
    age=27,
    base_image_id=BASE_IMAGE,
    appearance=Appearance(
        gender="woman",
        ethnicity="Northern European",
        skin_tone="fair",
        hair_color="copper red",
        hair_length="shoulder-length",
        hair_style="wavy",
        eye_color="green",
        face="high cheekbones",
        face_shape="oval",
        body_type="athletic",
        height="tall",
        details="freckles across the nose",
    ),
    identity=Identity(
        occupation="marine biologist",
        personality="calm, curious",
        hobbies="climbing",
        backstory="Grew up on an island.",
        expression="playful look",
        dress_style="knitwear",
    ),
)
ELIAS = Character(
    name="Elias",
    age="thirty-four",
    appearance=Appearance(gender="man", hair_length="bald", facial_hair="full beard", details="glasses"),
    identity=Identity(occupation="jazz pianist"),
)
LONG = ", ".join(f"wish number {n} of a user who has many" for n in range(45))

CASES: Final[dict[str, dict[str, Any]]] = {
    "base-image": {"type_": "base_image", "character": MARA},
    "base-image-cinematic": {"type_": "base_image", "character": ELIAS, "style": "cinematic", "count": 1},
    "sheet": {"type_": "character_sheet", "character": MARA, "count": 10},
    "sheet-nsfw-two-again": {
        "type_": "character_sheet",
        "character": MIA,
        "count": 10,
        "only": (2, 8),
        "include_nsfw": True,
    },
    "studio-lora": {
        "character": MARA.model_copy(update={"lora": LORA}),
        "scene": "beach",
        "outfit": "swimsuit",
        "prompt": "sunset, (wind in the hair:1.2), a small dog (a terrier)",
        "negative_prompt": "other people",
        "style": "cinematic",
        "aspect": "wide",
        "count": 2,
    },
    "studio-free-text": {
        "character": ELIAS,
        "scene": "at the old docks of Porto, fog",
        "outfit": "a yellow raincoat",
        "prompt": "He laughs at a seagull. Rain on the lens",
        "quality": "ultra",
    },
    "studio-nothing-but-a-name": {"character": Character(name="Kim", age=40)},
    "studio-explicit-words-removed": {"character": MIA, "prompt": "a topless woman, red umbrella"},
    "studio-long-text": {"character": MARA, "scene": "cafe", "prompt": LONG},
    "studio-other-scripts": {
        "character": Character(
            name="花" * 60, age=30, appearance=Appearance(gender="女性", hair_color="черные", details="眼鏡")
        ),
        "prompt": "砂浜の夕日、波",
    },
    "profile-classic": {"type_": "profile_pictures", "character": MARA, "set_id": "classic"},
    "profile-artistic": {"type_": "profile_pictures", "character": ELIAS, "set_id": "artistic"},
}


def text_of(case: str) -> str:
    """Return the prompts of a case as text."""
    request: ImageRequest = requested(**CASES[case]).request  # type: ignore[assignment]
    return as_text(preview(request, JOB)) + "\n"


def main() -> None:
    """Rewrite all files and remove those without a case."""
    for file in FOLDER.glob("*.txt"):
        file.unlink()
    for case in CASES:
        (FOLDER / f"{case}.txt").write_text(text_of(case), encoding="utf-8")


if __name__ == "__main__":
    main()
