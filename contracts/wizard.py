"""Values that the character wizard offers. Any other short text is accepted too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler

from contracts.base import Line, Model


@dataclass(frozen=True)
class Offers:
    """The values that a wizard offers for a field. Any other text is accepted too."""

    values: tuple[str, ...]

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "enum": list(self.values)}, handler(schema)]}


def offered_values(model: type[Model]) -> Mapping[str, tuple[str, ...]]:
    """Return the offered values by field, for the fields of a model that have some."""
    found = {}
    for name, field in model.model_fields.items():
        offered = [known.values for known in _metadata(field.annotation) if isinstance(known, Offers)]
        if offered:
            found[name] = offered[0]
    return found


def _metadata(annotation: Any) -> tuple[Any, ...]:
    """Return the metadata of the members of `X | None`."""
    options = getattr(annotation, "__args__", ())
    return tuple(data for option in options for data in getattr(option, "__metadata__", ()))


Gender = Annotated[Line, Offers(("woman", "man", "non-binary"))]

Ethnicity = Annotated[
    Line,
    Offers(
        (
            "Black",
            "East Asian",
            "Southeast Asian",
            "South Asian",
            "Middle Eastern",
            "Latin American",
            "Mediterranean",
            "Northern European",
            "Eastern European",
            "Pacific Islander",
            "Native American",
            "mixed-heritage",
        )
    ),
]

SkinTone = Annotated[
    Line, Offers(("porcelain", "fair", "light", "medium", "olive", "tan", "brown", "dark brown", "deep"))
]

HairColor = Annotated[
    Line,
    Offers(
        (
            "black",
            "dark brown",
            "brown",
            "light brown",
            "auburn",
            "copper red",
            "strawberry blonde",
            "blonde",
            "platinum blonde",
            "grey",
            "silver",
            "white",
            "pink",
            "blue",
            "purple",
        )
    ),
]

HairLength = Annotated[
    Line,
    Offers(("bald", "shaved", "very short", "short", "chin-length", "shoulder-length", "long", "very long")),
]

HairStyle = Annotated[
    Line,
    Offers(
        (
            "straight",
            "wavy",
            "curly",
            "coily",
            "braids",
            "ponytail",
            "bun",
            "bob",
            "pixie cut",
            "undercut",
            "afro",
            "dreadlocks",
        )
    ),
]

EyeColor = Annotated[
    Line, Offers(("brown", "dark brown", "amber", "hazel", "green", "blue", "light blue", "grey"))
]

FaceShape = Annotated[Line, Offers(("oval", "round", "square", "heart-shaped", "diamond-shaped", "long"))]

BodyType = Annotated[
    Line, Offers(("slim", "petite", "average", "athletic", "muscular", "curvy", "plus-size", "stocky"))
]

Height = Annotated[Line, Offers(("short", "average height", "tall", "very tall"))]

FacialHair = Annotated[
    Line, Offers(("clean-shaven", "stubble", "moustache", "goatee", "short beard", "full beard"))
]

Expression = Annotated[
    Line,
    Offers(
        (
            "neutral expression",
            "gentle smile",
            "broad smile",
            "laughing",
            "serious look",
            "confident look",
            "playful look",
            "thoughtful look",
            "dreamy look",
        )
    ),
]

DressStyle = Annotated[
    Line,
    Offers(
        (
            "casual",
            "smart-casual",
            "business",
            "streetwear",
            "sportswear",
            "denim",
            "knitwear",
            "bohemian",
            "vintage",
        )
    ),
]
"""Names of outfits in the prompt library's catalogue."""
