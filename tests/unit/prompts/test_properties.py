"""Properties of all plans."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.base import Model
from contracts.characters import Appearance, Character, Identity
from contracts.generation import GenerationPlanned, GenerationRejected
from contracts.storable import faults
from contracts.wizard import offered_values
from prompts.adults import ADULT_AGE, age_in_years, find_minor
from prompts.budget import tokens
from prompts.catalogue import default_catalogue
from prompts.dialects import MAX_WORDS, WINDOW, WINDOWS, strip_weights
from prompts.explicit import find_explicit, remove_words
from prompts.normalization import normalize
from prompts.planner import plan
from prompts.seeds import SEEDS
from prompts.wording import word_count
from tests.unit.prompts.examples import (
    AT,
    BASE_IMAGE,
    CHARACTER,
    LORA,
    MIA,
    MIA_WITH_LORA,
    STORED_MIA,
    requested,
)

CATALOGUE = default_catalogue()
STORED_WITH_FACE = STORED_MIA.model_copy(update={"base_image_id": BASE_IMAGE})
ABOUT = ("character", "character_id", "stored")
COUNTS = {"base_image": (1, 3), "character_sheet": (7, 10), "studio": (1, 10), "profile_pictures": (4, 8)}

_EXPLICIT = ("nude", "n u d e", "N.A.K.E.D", "tоpless", "p0rn", "without clothes", "nüde")
_HARMLESS = (
    "red hat",
    "by the sea",
    "sunset",
    "smiling,",
    "(rain, storm)",
    "girl",
    "30 years old",
    "\u200b",
    ",",
)
_MINORS = ("teen", "a kid", "16 years old", "schoolgirl", "l o l i", "toddlers", "aged fifteen", "ｔｅｅｎ")

words = st.lists(st.sampled_from(_HARMLESS + _EXPLICIT), max_size=8).map(" ".join)
texts = st.one_of(st.none(), words)
odd = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
wild = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)


@st.composite
def image_requests(
    draw: st.DrawFn, free: st.SearchStrategy[str | None] = texts, types: Iterable[str] = COUNTS
) -> dict[str, Any]:
    """Generate the arguments of acceptable image requests."""
    type_ = draw(st.sampled_from(sorted(types)))
    request: dict[str, Any] = {
        "type_": type_,
        "prompt": draw(free),
        "style": draw(st.one_of(free, st.sampled_from(sorted(CATALOGUE.styles)))),
        "negative_prompt": draw(free),
        "aspect": draw(st.sampled_from([None, *CATALOGUE.aspects])),
        "seed": draw(st.one_of(st.none(), st.integers(0, 2**64 - 1))),
        "include_nsfw": draw(st.booleans()),
    }
    stored = type_ != "base_image" and draw(st.booleans())
    character = draw(st.sampled_from([STORED_MIA, STORED_WITH_FACE, MIA_WITH_LORA]))
    if type_ == "studio":
        request |= draw(modes(character, stored=stored))
    request = about(request, character, stored=stored)
    if type_ == "profile_pictures":
        return request | {"set_id": draw(st.sampled_from([known.id for known in CATALOGUE.profile_sets]))}
    request["count"] = draw(st.integers(*COUNTS[type_]))
    if type_ == "studio":
        request["scene"] = draw(st.one_of(free, st.sampled_from(sorted(CATALOGUE.scenes))))
        request["outfit"] = draw(st.one_of(free, st.sampled_from(sorted(CATALOGUE.outfits))))
    return request


def about(request: dict[str, Any], character: Character, *, stored: bool) -> dict[str, Any]:
    """Return a request for a character, which is described inline or stored."""
    others = {name: value for name, value in request.items() if name not in ABOUT}
    return others | ({"character_id": CHARACTER, "stored": character} if stored else {"character": character})


def modes(character: Character, *, stored: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Return the modes in which a character can be drawn in a scene."""
    known = {"auto", "lora" if character.lora else "auto"}
    known |= {"face_swap"} if character.base_image_id else set()
    at_once = st.fixed_dictionaries({"mode": st.sampled_from(sorted(known))})
    if not stored or not character.trigger_word:
        return at_once
    waiting = {"mode": st.sampled_from(["auto", "lora", *known]), "wait_for_lora": st.just(True)}
    return st.one_of(at_once, st.fixed_dictionaries(waiting))


_INDEXES = st.lists(st.integers(0, 999), min_size=4, max_size=50, unique=True)


@st.composite
def trainings(draw: st.DrawFn) -> dict[str, Any]:
    """Generate the arguments of acceptable trainings."""
    images = [f"{CHARACTER}/{index}" for index in draw(_INDEXES)]
    some = st.sampled_from(["", "{trigger}, walking", "mia_tok at the sea"])
    of_all = st.lists(some, min_size=len(images), max_size=len(images))
    return {
        "type_": "lora_training",
        "character_id": CHARACTER,
        "stored": draw(st.sampled_from([MIA, STORED_MIA, MIA_WITH_LORA])),
        "images": tuple(images),
        "captions": tuple(draw(st.one_of(st.just([]), of_all))),
        "trigger_word": draw(st.sampled_from(["mia_tok", " qdvhzmwn "])),
        "steps": draw(st.one_of(st.none(), st.integers(1, 10_000))),
        "provider": draw(st.sampled_from([None, "fal", "modal"])),
    }


def size_of(request: dict[str, Any]) -> int:
    """Return the expected number of renders."""
    if chosen := CATALOGUE.profile_set(request.get("set_id", "")):
        return len(chosen.shots)
    return len(request.get("only", ())) or int(request.get("count", 1))


def _plan(request: dict[str, Any]) -> GenerationPlanned | GenerationRejected:
    asked = {name: value for name, value in request.items() if name != "stored"}
    stored = request.get("stored")
    return plan(requested(**asked), character=stored, requested_at=AT, catalogue=CATALOGUE)


@given(st.one_of(image_requests(), image_requests(), trainings()))
def test_planning_is_deterministic_and_gives_the_requested_images(request: dict[str, Any]) -> None:
    made = _plan(request)
    assert isinstance(made, GenerationPlanned)
    wanted = size_of(request)
    assert [render.index for render in made.renders] == list(range(wanted))
    assert len({render.label for render in made.renders}) == wanted
    seeds = [render.seed for render in made.renders]
    assert len(set(seeds)) == wanted
    assert all(0 <= seed < SEEDS for seed in seeds[1:])
    assert made == _plan(request)


@given(image_requests(types=["studio"]))
def test_pictures_wait_for_a_lora_only_if_requested_and_missing(
    request: dict[str, Any],
) -> None:
    made = _plan(request)
    assert isinstance(made, GenerationPlanned)
    mode, character = request.get("mode"), request.get("stored") or request["character"]
    asked = request.get("wait_for_lora", False) and mode != "face_swap"
    assert made.waits_for_lora == (asked and character.lora is None)
    for render in made.renders:
        assert not made.waits_for_lora or (render.lora, render.face) == (None, None)
        assert mode != "face_swap" or (render.lora, render.face) == (None, BASE_IMAGE)
        assert mode != "lora" or made.waits_for_lora or render.lora == LORA


@given(trainings())
def test_a_training_keeps_the_order_of_its_images_and_captions(
    request: dict[str, Any],
) -> None:
    made = _plan(request)
    assert isinstance(made, GenerationPlanned)
    (render,) = made.renders
    assert (render.kind, render.training_images) == ("lora_training", request["images"])
    assert (render.prompt, render.steps) == (request["trigger_word"].strip(), request["steps"])
    assert len(render.captions) == (len(request["images"]) if request["captions"] else 0)
    assert made.provider == request["provider"]


@given(image_requests())
def test_a_prompt_without_permission_is_never_explicit(request: dict[str, Any]) -> None:
    made = _plan(request | {"include_nsfw": False})
    assert isinstance(made, GenerationPlanned)
    for render in made.renders:
        assert find_explicit(render.prompt, CATALOGUE.nsfw.explicit) is None
        assert find_explicit(render.tag_prompt, CATALOGUE.nsfw.explicit) is None
        assert set(CATALOGUE.negative.safety) <= set(render.negative_prompt.split(", "))
        assert not render.nsfw_allowed


def _model(kind: type[Model], texts: st.SearchStrategy[str | None]) -> st.SearchStrategy[Any]:
    """Generate fields that are left out, offered by the wizard, or arbitrary."""
    known = offered_values(kind)
    return st.builds(
        kind,
        **{name: st.one_of(texts, st.sampled_from(known.get(name, (None,)))) for name in kind.model_fields},
    )


def characters(free: st.SearchStrategy[str | None]) -> st.SearchStrategy[Character]:
    """Generate characters of a wizard."""
    return st.builds(
        Character,
        name=st.one_of(st.just("x" * 200), wild),
        age=st.one_of(st.integers(18, 120), st.sampled_from(["twenty-seven", "late 30s"])),
        appearance=_model(Appearance, free),
        identity=_model(Identity, free),
        base_image_id=st.sampled_from([None, BASE_IMAGE]),
        lora=st.sampled_from([None, LORA]),
        trigger_word=st.sampled_from([None, "mia_tok"]),
    )


@given(image_requests(free=st.one_of(texts, wild)), characters(st.one_of(texts, odd)), st.data())
def test_every_plan_is_within_its_budgets_safe_and_storable(
    request: dict[str, Any], character: Character, data: st.DataObject
) -> None:
    request = about(request, character, stored="stored" in request)
    if request["type_"] == "character_sheet":
        places = st.lists(st.integers(0, request["count"] - 1), unique=True)
        request["only"] = tuple(data.draw(places))
    made, wordless = _plan(request), _plan(request | {"prompt": None})
    if isinstance(made, GenerationRejected) or isinstance(wordless, GenerationRejected):
        return
    assert len(made.renders) == size_of(request)
    for render, without in zip(made.renders, wordless.renders, strict=True):
        plain = strip_weights(render.tag_prompt)
        never_cut = tokens(strip_weights(without.tag_prompt))
        assert word_count(render.prompt) <= MAX_WORDS
        assert tokens(plain) <= max(WINDOW * WINDOWS, never_cut)
        for text in (render.prompt, render.tag_prompt, plain, render.caption):
            assert find_minor(text) is None
            assert request["include_nsfw"] or find_explicit(text, CATALOGUE.nsfw.explicit) is None
        if render.lora or made.waits_for_lora:
            assert render.prompt.startswith("mia_tok")
            assert plain.startswith("mia_tok") or not plain
    assert not list(faults(made.model_dump(mode="json")))
    assert GenerationPlanned.model_validate_json(made.model_dump_json()) == made


@given(image_requests())
def test_prompts_are_well_formed(request: dict[str, Any]) -> None:
    made = _plan(request)
    assert isinstance(made, GenerationPlanned)
    for render in made.renders:
        assert "27-year-old Japanese woman" in render.prompt
        assert "(Japanese woman:1.2), 27 years old, " in render.tag_prompt
        for text in (render.prompt, render.tag_prompt):
            assert ", ," not in text
            assert ",." not in text
            assert not text.endswith(",")
            assert "  " not in text


@given(image_requests(free=wild), st.sampled_from(["prompt", "style"]), st.sampled_from(_MINORS), wild)
def test_a_minor_is_rejected_in_every_field(
    request: dict[str, Any], field: str, minor: str, before: str
) -> None:
    made = _plan(request | {field: f"{before}, {minor}"})
    assert isinstance(made, GenerationRejected)
    assert f"request.{field}" in [reason.field for reason in made.reasons]


@given(st.integers(-5, 200))
def test_only_ages_of_adults_are_planned(age: int) -> None:
    made = _plan({"character": MIA.model_copy(update={"age": age})})
    assert isinstance(made, GenerationPlanned) == (ADULT_AGE <= age <= 120)
    if age >= 0:
        assert age_in_years(str(age)) == age


@given(st.text(max_size=60))
def test_normalisation_keeps_the_position_of_every_character(text: str) -> None:
    normalized = normalize(text)
    assert len(normalized.text) == len(normalized.starts) == len(normalized.ends)
    spans = list(zip(normalized.starts, normalized.ends, strict=True))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert normalize(normalized.text).text == normalize(normalize(normalized.text).text).text


@given(st.lists(st.one_of(st.sampled_from(_EXPLICIT), st.text(max_size=5)), max_size=10).map("".join))
def test_no_explicit_word_survives_its_removal(text: str) -> None:
    assert find_explicit(remove_words(text, CATALOGUE.nsfw.explicit).text, CATALOGUE.nsfw.explicit) is None
