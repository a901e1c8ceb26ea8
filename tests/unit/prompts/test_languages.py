"""Detection of persons below 18 in many languages and disguises, and its false positives."""

import time
from typing import Any

import pytest

from contracts.characters import Appearance, Character, Identity
from contracts.generation import GenerationPlanned, GenerationRejected
from prompts.adults import find_minor
from prompts.catalogue import default_catalogue
from prompts.normalization import MAX_EXPANSION, normalize
from prompts.planner import plan
from prompts.workflows import MAX_WORDING, workflow_reasons
from tests.unit.prompts.corpus.rates import PARTS, VERDICTS, ideas, sentences, wrong
from tests.unit.prompts.examples import AT, CHARACTER, IMAGES, MIA, STORED_MIA, requested
from tests.unit.workflow_graphs import saving

REPORTED_MINORS = [
    *("👧🏻 playing", "👶", "sechzehn Jahre alt", "16살 소녀", "шестнадцать лет", "高校生", "小学生"),
    *("she is sechzehn, seize ans, dieciséis años, dodici anni", "ma 16 lat", "16 jaar oud", "seize ans"),
    *("dodici anni", "doze anos", "15 roku", "15 år", "15 tuổi", "15 tahun", "15 yaş", "15 ετών", "15 वर्ष"),
    *("עמרי בת 15", "عمرها ١٥ سنة", "여고생", "열여섯 살", "12-jährige", "sechzehnjähriges Mädchen"),
    *("9th grader", "ⅽhild", "schoolɡirl"),
]
REPORTED_OTHERS = [
    *("infantry uniform", "childlike wonder", "The Kid Laroi poster", "teen spirit deodorant"),
    *("aged 16 whisky barrel", "lolita fashion", "teenage mutant ninja turtles t-shirt"),
]


@pytest.mark.parametrize("text", REPORTED_MINORS)
def test_a_reported_mention_of_a_minor_is_refused_in_a_prompt(text: str) -> None:
    made = _planned(prompt=f"portrait, {text}")
    assert isinstance(made, GenerationRejected)
    (reason,) = made.reasons
    assert reason.field == "request.prompt"
    assert "mentions a person below 18" in reason.message


@pytest.mark.parametrize("text", REPORTED_OTHERS)
@pytest.mark.parametrize("field", ["prompt", "outfit", "scene"])
def test_a_reported_false_positive_is_planned(field: str, text: str) -> None:
    assert isinstance(_planned(**{field: text}), GenerationPlanned)


@pytest.mark.parametrize("name", ["Julia Child", "Lolita Flores", "Kid", "Baby Teen, 12"])
def test_a_name_is_not_checked_because_it_is_never_drawn(name: str) -> None:
    made = _planned(character=MIA.model_copy(update={"name": name}))
    assert isinstance(made, GenerationPlanned)
    for render in made.renders:
        assert name not in f"{render.prompt} {render.tag_prompt} {render.negative_prompt} {render.caption}"


@pytest.mark.parametrize(
    "identity", [{"backstory": "mother of two children, left home at 16"}, {"hobbies": "child care"}]
)
def test_a_life_that_is_never_drawn_is_not_checked(identity: dict[str, str]) -> None:
    character = MIA.model_copy(update={"identity": Identity(**identity)})
    made = _planned(character=character)
    assert isinstance(made, GenerationPlanned)
    for render in made.renders:
        assert "child care" not in f"{render.prompt} {render.tag_prompt}"
        assert "mother" not in f"{render.prompt} {render.tag_prompt}"


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("request.prompt", {"prompt": "여고생"}),
        ("request.scene", {"scene": "with ⅽhildren"}),
        ("request.outfit", {"outfit": "einer Sechzehnjährigen"}),
        ("request.style", {"style": "👧"}),
        (
            "request.character.appearance.details",
            {"character": Character(name="Kim", age=30, appearance=Appearance(details="ma 16 lat"))},
        ),
        (
            "request.workflow.1.inputs.text",
            {"workflow": {"1": {"class_type": "T", "inputs": {"text": "15 år"}}}},
        ),
    ],
)
def test_every_field_with_text_is_checked(path: str, request_: dict[str, Any]) -> None:
    made = _planned(**request_)
    assert isinstance(made, GenerationRejected)
    assert path in [reason.field for reason in made.reasons]


@pytest.mark.parametrize(("field", "value"), [("trigger_word", "schoolɡirl"), ("captions", ("", "16살"))])
def test_the_texts_of_a_training_are_checked(field: str, value: object) -> None:
    training: dict[str, Any] = {
        "type_": "lora_training",
        "character_id": CHARACTER,
        "images": IMAGES,
        "trigger_word": "mia_tok",
    }
    asked = requested(**training | {field: value})
    made = plan(asked, character=STORED_MIA, requested_at=AT, catalogue=default_catalogue())
    assert isinstance(made, GenerationRejected)
    assert any(reason.field.startswith(f"request.{field}") for reason in made.reasons)


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("part", PARTS)
def test_the_corpus_is_classified_correctly(verdict: str, part: str) -> None:
    assert wrong(verdict, part) == ()


@pytest.mark.parametrize("idea", ideas())
def test_each_harmless_idea_passes_in_every_language(idea: str) -> None:
    spoken = ideas()[idea]
    assert set(spoken) == set(default_catalogue().underage.languages) - {"emoji"}
    assert {code: find_minor(text) for code, text in spoken.items() if find_minor(text)} == {}


@pytest.mark.parametrize(
    "text",
    [
        *("girl with a dog, 9 years old", "girl, a dog, 9 years old", "blue jeans, 16 years old"),
        *("woman, between 14 and 16", "girl, 14-16", "a boy, tenth grade", "aged XVI", "Ⅷ years old"),
        *("girl16", "s i x t e e n years old", "ꓢꓚHOOLGIRL", "I6 years old", "girl in grade 7"),
    ],
)
def test_a_person_below_18_is_found_beside_other_words(text: str) -> None:
    assert find_minor(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        *("she is 5'10", "open between 9 and 5", "between 14 and 16 candles", "10th grade maths book"),
        *("chapter XII", "Louis XIV chair", "iPhone16", "blink182 shirt", "XII century castle"),
    ],
)
def test_numbers_of_other_things_are_not_ages(text: str) -> None:
    assert find_minor(text) is None


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_corpus_has_at_least_200_sentences_in_many_languages(verdict: str) -> None:
    known = sentences(verdict)
    assert sum(len(parts.get(part, ())) for parts in known.values() for part in PARTS) >= 200
    assert set(known) - {"mixed"} | {"emoji"} == set(default_catalogue().underage.languages)


ORDINARY = "a quiet garden with warm light and stone walls, "
DENSE = [
    *("ﷺ", "ﬃ", "1 ", "girl 16 x ", "十六", "six ", "n u d e ", "a\u0301", "kid gloves ", "young "),
    *("grade 12 ", "2 0 y e a r s ", "vingt et un ans ", "二十 三十 ", "twenty one hundred and sixteen "),
    *(
        "aged 19 to 21 years, ",
        "a dog, 9 years old, ",
        "between 19 and 21 years ",
        "Frau, dreißig Jahre alt, ",
    ),
]


@pytest.mark.parametrize("text", DENSE)
def test_the_time_grows_linearly_with_the_text(text: str) -> None:
    _seconds(text, 1_000)
    short = min(_seconds(text, 8_000) for _ in range(3))
    assert min(_seconds(text, 64_000) for _ in range(2)) < 8 * 4 * short + 0.05


def test_a_text_full_of_ages_costs_little_more_than_an_ordinary_one() -> None:
    ordinary = min(_seconds(ORDINARY, 64_000) for _ in range(3))
    times = {text: min(_seconds(text, 64_000) for _ in range(2)) for text in DENSE}
    assert {text: time for text, time in times.items() if time > 30 * ordinary} == {}


def test_an_age_is_found_wherever_it_stands_in_a_long_text() -> None:
    padding = "a woman of 30 on a bench, twenty one lamps, vingt et un ans, "
    for size in range(0, 1400, 7):
        before = (padding * 30)[:size]
        assert (
            find_minor(f"{before} x a girl of sixteen years, {padding * 20}") == "girl of sixteen years"[8:]
        )


def test_the_time_of_a_workflow_with_ligatures_is_linear() -> None:
    workflow = {"1": {"class_type": "T", "inputs": {"text": "ﷺ" * MAX_WORDING}}, "2": saving("1")}
    start = time.process_time()
    assert workflow_reasons(workflow, include_nsfw=False, catalogue=default_catalogue()) == []
    assert time.process_time() - start < 2


def test_no_character_is_normalised_to_more_than_the_limit() -> None:
    assert (
        max(len(normalize(chr(code)).text) for code in range(0x20, 0x30000) if chr(code).isprintable())
        == MAX_EXPANSION
    )


def _planned(**request: Any) -> GenerationPlanned | GenerationRejected:
    return plan(requested(**request), character=None, requested_at=AT, catalogue=default_catalogue())


def _seconds(text: str, size: int) -> float:
    start = time.process_time()
    find_minor(text * (size // len(text)))
    return time.process_time() - start
