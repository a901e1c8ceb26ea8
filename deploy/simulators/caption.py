"""Caption with the prompt on every picture, so that a contact sheet shows which request made it."""

from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

MIN_CAPTIONED_SIDE: Final = 128
MAX_LINES: Final = 3
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_caption(picture: Image.Image, prompt: str, details: str) -> None:
    if min(picture.size) < MIN_CAPTIONED_SIDE:
        return
    base = min(picture.size)
    margin, size = base // 24, max(11, base // 28)
    font, small = _font(size, prompt.isascii()), _font(max(9, int(size * 0.7)), True)
    lines = _wrap(prompt, font, picture.width - 2 * margin)
    step = int(size * 1.28)
    text_height = step * len(lines) + int(size * 1.1)
    _darken(picture, text_height + 2 * margin)
    pen = ImageDraw.Draw(picture)
    y = picture.height - margin - text_height
    for line in lines:
        pen.text((margin, y), line, font=font, fill=(255, 255, 255))
        y += step
    pen.text((margin, y + size * 0.3), details, font=small, fill=(214, 214, 226))


def _darken(picture: Image.Image, height: int) -> None:
    height = min(height, picture.height)
    ramp = Image.linear_gradient("L").resize((picture.width, height))
    mask = ramp.point([min(205, int(level * 1.9)) for level in range(256)])
    picture.paste((16, 14, 26), (0, picture.height - height), mask)


def _wrap(text: str, font: Font, width: float) -> list[str]:
    lines, line = [], ""
    for word in text.split()[:80]:
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], lines[MAX_LINES - 1] + " …"]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: Font, width: float) -> str:
    while len(line) > 1 and font.getlength(line) > width:
        line = line.removesuffix(" …")[:-2] + " …"
    return line


@lru_cache(maxsize=32)
def _font(size: int, latin: bool) -> Font:
    """Return Pillow's own font for Latin text, which it renders best, and DejaVu Sans for other scripts."""
    if not latin:
        try:
            return ImageFont.truetype("DejaVuSans.ttf", size)
        except OSError:
            pass
    return ImageFont.load_default(size)
