"""Catalogue of prompt texts, loaded from data files and validated."""

import re
from functools import cached_property, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.requests import Aspect
from prompts.data_files import CatalogueInvalid, read_yaml
from prompts.languages import Language
from prompts.normalization import normalize
from prompts.vocabulary import Vocabulary, compile_words

ImageType = Literal["base_image", "character_sheet", "studio", "profile_pictures"]
Words = Annotated[str, Field(min_length=1)]
Key = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Data):
    """Prompt text of a scene, outfit, style or quality."""

    text: Words
    nsfw: Words | None = None
    """Replaces `text` if explicit wording is allowed."""
    negative: str = ""


class Pose(_Data):
    """One image of a character sheet."""

    name: Key
    framing: Words
    angle: Words
    pose: Words
    expression: Words
    outfit: Words
    nsfw: Words | None = None
    """Replaces `outfit` if explicit wording is allowed."""
    background: Words
    light: Words


class Shot(_Data):
    """One image of a profile-picture set."""

    name: Key
    framing: Words
    expression: Words
    background: Words
    outfit: str | None = None


class ProfileSet(_Data):
    """A profile-picture set. Each shot becomes one image of the job."""

    id: Key
    title: Words
    shots: Annotated[tuple[Shot, ...], Field(min_length=4, max_length=8)]


class Size(_Data):
    """Size of an image in pixels."""

    width: int = Field(ge=256, le=2048, multiple_of=64)
    height: int = Field(ge=256, le=2048, multiple_of=64)


class Default(_Data):
    """Defaults of a request type."""

    aspect: Aspect
    style: Key
    quality: Key


class Framing(_Data):
    """Framing of the candidates for a face."""

    base_image: Words
    candidates: Annotated[tuple[Words, ...], Field(min_length=3)]


class Negative(_Data):
    """Negative prompts for all images, for adults, and for images without explicit content."""

    always: tuple[Words, ...]
    adults: tuple[Words, ...]
    safety: tuple[Words, ...]


class Person(_Data):
    """Words for a person. All of them imply an adult."""

    genders: dict[str, Words]
    adult_words: dict[str, Words]
    hair_nouns: frozenset[Words]


class Nsfw(_Data):
    """Words that are allowed only with explicit content."""

    words: tuple[Words, ...]
    never_negative: tuple[Words, ...]

    @cached_property
    def explicit(self) -> Vocabulary:
        """Vocabulary of the explicit words."""
        return compile_words(self.words)

    @cached_property
    def in_negative(self) -> Vocabulary:
        """Vocabulary of the words that a negative prompt must not contain."""
        return compile_words(self.never_negative)


class Underage(_Data):
    """Words of all languages for persons below 18, and words that exclude other meanings."""

    languages: Annotated[dict[str, Language], Field(min_length=1)]
    never_negative: tuple[Words, ...]
    not_misspelled: tuple[Words, ...] = ()
    """Words that are no misspelling of another."""

    def __hash__(self) -> int:
        return id(self)

    @cached_property
    def in_negative(self) -> Vocabulary:
        """Vocabulary of the words that a negative prompt must not contain."""
        return compile_words(self.never_negative)


class Catalogue(_Data):
    """All data files. Each field is the file of that name."""

    scenes: Annotated[dict[Key, Entry], Field(min_length=1)]
    outfits: Annotated[dict[Key, Entry], Field(min_length=1)]
    styles: Annotated[dict[Key, Entry], Field(min_length=1)]
    qualities: Annotated[dict[Key, Entry], Field(min_length=1)]
    poses: Annotated[tuple[Pose, ...], Field(min_length=10, max_length=10)]
    profile_sets: Annotated[tuple[ProfileSet, ...], Field(min_length=1)]
    aspects: dict[Aspect, Size]
    defaults: dict[ImageType, Default]
    framing: Framing
    negative: Negative
    person: Person
    nsfw: Nsfw
    underage: Underage

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _require("aspects", self.aspects, get_args(Aspect))
        _require("defaults", self.defaults, get_args(ImageType))
        _require_unique("poses", [pose.name for pose in self.poses])
        _require_unique("profile_sets", [known.id for known in self.profile_sets])
        for kind, default in self.defaults.items():
            if default.style not in self.styles:
                raise CatalogueInvalid("defaults.yaml", f"{kind}.style", f"no style {default.style!r}")
            if default.quality not in self.qualities:
                raise CatalogueInvalid("defaults.yaml", f"{kind}.quality", f"no quality {default.quality!r}")
        return self

    def profile_set(self, set_id: str) -> ProfileSet | None:
        """Return the profile-picture set with an id, or None."""
        return next((known for known in self.profile_sets if known.id == set_id), None)


def entry_of(entries: dict[str, Entry], name: str) -> Entry | None:
    """Return the entry of a name in any spelling (`Sunset Beach`, `sunset_beach`), or None."""
    return entries.get(re.sub(r"[\s_-]+", "-", normalize(name).text.strip()))


def load_catalogue(folder: Traversable | None = None) -> Catalogue:
    """Load the catalogue from a folder of data files. The default is the package's own folder.

    Raises:
        CatalogueInvalid: naming the file and the key that cannot be used.
    """
    folder = folder or resources.files("prompts") / "data"
    files = {field: read_yaml(folder / f"{field}.yaml") for field in Catalogue.model_fields}
    files["underage"] = _with_languages(files["underage"], folder)
    try:
        return Catalogue.model_validate(files)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if isinstance(cause := first.get("ctx", {}).get("error"), CatalogueInvalid):
            raise cause from None
        where = [str(part) for part in first["loc"]]
        raise CatalogueInvalid(f"{where[0]}.yaml", ".".join(where[1:]), first["msg"]) from None


def _with_languages(underage: object, folder: Traversable) -> object:
    """Add all languages, one file each, to the words for persons below 18."""
    if not isinstance(underage, dict):
        return underage
    languages = {
        file.name.removesuffix(".yaml"): read_yaml(file)
        for file in sorted((folder / "languages").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    }
    return {**underage, "languages": languages}


@lru_cache(maxsize=1)
def default_catalogue() -> Catalogue:
    """Return the package's own catalogue. It is loaded on the first call."""
    return load_catalogue()


def _require(file: str, given: dict[Any, Any], wanted: tuple[str, ...]) -> None:
    for key in wanted:
        if key not in given:
            raise CatalogueInvalid(f"{file}.yaml", str(key), "is missing")


def _require_unique(file: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise CatalogueInvalid(f"{file}.yaml", name, "is a duplicate")
