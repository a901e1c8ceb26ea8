"""Builder that composes a prompt and its seed step by step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from contracts.characters import Character
from prompts import arguments
from prompts.adults import NotAnAdult, find_minor
from prompts.catalogue import Catalogue, Entry, default_catalogue, entry_of
from prompts.dialects import Picture, prose, tags, weight_tags
from prompts.explicit import find_explicit, remove_words
from prompts.person import describe
from prompts.seeds import seed_from, seed_of_image
from prompts.wizard import character_from
from prompts.wording import clean, join, phrase, replace_words, shorten

_FREE_WORDS = 25
_NEGATIVE_WORDS = 150
_TRIGGER_WORDS = 100  # at least the longest trigger word
_WORN = ("wearing ", "dressed ", "in ", "with ", "without ", "nude", "naked", "topless", "undressed")


@dataclass(frozen=True, slots=True)
class Prompt:
    """Texts and settings for an image model."""

    prompt: str
    """Prompt in prose."""
    negative_prompt: str
    seed: int
    tag_prompt: str = ""
    """Prompt as weighted tags. Empty if the tags alone could be explicit or mention a minor."""
    nsfw_allowed: bool = False
    removed: tuple[str, ...] = ()
    """Explicit words that were removed, except disguised ones."""
    cut: tuple[str, ...] = ()
    """Clauses that were cut from the prose."""
    cut_tags: tuple[str, ...] = ()
    """Clauses that were cut from the tags."""


@dataclass(frozen=True)
class PromptBuilder:
    """Immutable builder for prompts. Every step returns a new builder.

    Names of scenes, outfits, styles and qualities are replaced by the texts of the catalogue. Other text is
    used unchanged. A step with an empty argument has no effect. A step with an argument of the wrong type
    raises `ArgumentInvalid`, which names the field and the value.
    """

    catalogue: Catalogue = field(default_factory=default_catalogue, repr=False)
    character: Character | None = None
    trigger: str = ""
    shots: tuple[str, ...] = ()
    expression: str = ""
    outfits: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    nsfw: bool = False
    base_seed: int | None = None
    index: int = 0

    def add_character(self, character: Character | Mapping[str, Any]) -> Self:
        """Set the character: a `Character`, or the wizard's answers as an object.

        `build` raises `NotAnAdult` if the character is below 18.

        Raises:
            CharacterInvalid: if fields of the object are missing, wrong or unknown. The text names them.
        """
        return replace(self, character=character_from(character))

    def add_trigger(self, word: str | None) -> Self:
        """Set the trigger word of a LoRA. It comes first and is never cut."""
        return replace(self, trigger=arguments.text_or_none("trigger", word) or self.trigger)

    def add_shot(self, *clauses: str, expression: str | None = None) -> Self:
        """Add pose, angle and framing. An expression replaces the character's own."""
        shots = (*self.shots, *(arguments.text("shot", clause) for clause in clauses))
        expression = arguments.text_or_none("expression", expression)
        return replace(self, shots=shots, expression=expression or self.expression)

    def add_outfit(self, outfit: str | None) -> Self:
        """Add clothes, by name or in free text."""
        return replace(self, outfits=_with(self.outfits, "outfit", outfit))

    def add_scene(self, scene: str | None) -> Self:
        """Add a location, by name or in free text."""
        return replace(self, scenes=_with(self.scenes, "scene", scene))

    def add_text(self, text: str | None) -> Self:
        """Add free text of the user."""
        return replace(self, texts=_with(self.texts, "text", text))

    def add_style(self, style: str | None) -> Self:
        """Add a style, by name or in free text."""
        return replace(self, styles=_with(self.styles, "style", style))

    def add_quality(self, quality: str | None) -> Self:
        """Add a quality, by name or in free text."""
        return replace(self, qualities=_with(self.qualities, "quality", quality))

    def add_negative(self, text: str | None) -> Self:
        """Add text to the negative prompt."""
        return replace(self, negatives=_with(self.negatives, "negative", text))

    def allow_nsfw(self, allowed: bool = True) -> Self:
        """Allow or forbid explicit wording. The default forbids it."""
        return replace(self, nsfw=arguments.flag("nsfw", allowed))

    def with_seed(self, base: int) -> Self:
        """Set the seed of the first image. The other seeds are derived from it."""
        return replace(self, base_seed=arguments.seed(base))

    def for_job(self, job_id: str) -> Self:
        """Derive the seeds from the job id, unless a seed is set."""
        return (
            self
            if self.base_seed is not None
            else self.with_seed(seed_from(arguments.text("job_id", job_id)))
        )

    def for_image(self, index: int) -> Self:
        """Set the position of the image in its job, from 0."""
        return replace(self, index=arguments.index(index))

    def build(self) -> Prompt:
        """Return the prompt.

        Raises:
            NotAnAdult: if the character or any text is about a person below 18.
            AgeNotUnderstood: if the character's age is not an age.
        """
        removed: list[str] = []
        picture = self._picture(removed)
        in_prose, tagged = prose(picture), tags(picture)
        prompt = self._scrubbed(in_prose.text, removed)
        if found := find_minor(prompt, self.catalogue.underage):
            raise NotAnAdult(found)
        base = seed_from(prompt) if self.base_seed is None else self.base_seed
        return Prompt(
            prompt=prompt,
            tag_prompt=tagged.text if self._is_allowed(tagged.text) else "",
            negative_prompt=self._negative(removed),
            seed=seed_of_image(base, self.index),
            nsfw_allowed=self.nsfw,
            removed=tuple(dict.fromkeys(removed)),
            cut=in_prose.cut,
            cut_tags=tagged.cut,
        )

    def _picture(self, removed: list[str]) -> Picture:
        def tidy(text: str | None) -> str:
            return self._tidy(text, removed)

        known, who = self.catalogue, None
        if self.character:
            who = describe(self.character, known.person, tidy)
        outfits = self._words(known.outfits, self.outfits, lambda text: _worn(tidy(text)))
        scenes = self._words(known.scenes, self.scenes, tidy)
        nothing_else = not (self.shots or outfits or scenes)
        if who and who.dress and not outfits:
            outfits = [self._usual_dress(who.dress)]
        return Picture(
            trigger=phrase(self.trigger, _TRIGGER_WORDS),
            who=who,
            shots=tuple(map(tidy, self.shots)),
            expression=tidy(self.expression) or (who.expression if who else ""),
            outfits=tuple(outfits),
            scenes=tuple(scenes),
            occupation=who.occupation if who and nothing_else else "",
            texts=tuple(map(tidy, self.texts)),
            styles=tuple(self._words(known.styles, self.styles, tidy)),
            qualities=tuple(self._words(known.qualities, self.qualities, tidy)),
        )

    def _usual_dress(self, style: str) -> str:
        """Return the text of a dress style. Explicit texts are only used for outfits of a request."""
        entry = entry_of(self.catalogue.outfits, style)
        return entry.text if entry else f"dressed in {style} style"

    def _is_allowed(self, tag_prompt: str) -> bool:
        """Check tags separately: they lack function words of the prose, and contain weights."""
        explicit = not self.nsfw and find_explicit(tag_prompt, self.catalogue.nsfw.explicit)
        return not explicit and not find_minor(tag_prompt, self.catalogue.underage)

    def _negative(self, removed: list[str]) -> str:
        known = self.catalogue.negative
        own = weight_tags(shorten(join(map(self._tidy_negative, self.negatives)), _NEGATIVE_WORDS))
        entries = [entry_of(self.catalogue.styles, name) for name in self.styles]
        entries += [entry_of(self.catalogue.qualities, name) for name in self.qualities]
        # safety words come first, because models cut long texts at the end
        first = known.adults if self.nsfw else [*known.adults, *known.safety, *removed]
        return join([*first, own, *(entry.negative for entry in entries if entry), *known.always])

    def _words(
        self, entries: dict[str, Entry], names: tuple[str, ...], free: Callable[[str], str]
    ) -> list[str]:
        found = []
        for name in names:
            entry = entry_of(entries, name)
            if entry:
                found.append((self.nsfw and entry.nsfw) or entry.text)
            elif text := free(name):
                found.append(shorten(text, _FREE_WORDS))
        return found

    def _tidy(self, text: str | None, removed: list[str]) -> str:
        adult = replace_words(clean(text), self.catalogue.person.adult_words)
        return self._scrubbed(adult, removed)

    def _scrubbed(self, text: str, removed: list[str]) -> str:
        if self.nsfw:
            return text
        removal = remove_words(text, self.catalogue.nsfw.explicit)
        removed.extend(removal.words)
        return join([removal.text]) if removal.text != text else text

    def _tidy_negative(self, text: str) -> str:
        text = remove_words(text, self.catalogue.underage.in_negative).text
        if not self.nsfw:
            text = remove_words(text, self.catalogue.nsfw.in_negative).text
        return clean(text)


def _with(texts: tuple[str, ...], field: str, more: str | None) -> tuple[str, ...]:
    more = arguments.text_or_none(field, more)
    return (*texts, more) if more else texts


def _worn(outfit: str) -> str:
    if not outfit or outfit.lower().startswith(_WORN):
        return outfit
    return f"wearing {outfit}"
