"""Library for prompts of image models. It uses no network and no clock.

from prompts import PromptBuilder

prompt = PromptBuilder().add_character(mara).add_scene("beach").add_outfit("swimsuit").build()
prompt.prompt, prompt.tag_prompt, prompt.negative_prompt, prompt.seed
"""

from prompts.arguments import ArgumentInvalid
from prompts.builder import Prompt, PromptBuilder

__all__ = ["ArgumentInvalid", "Prompt", "PromptBuilder"]
