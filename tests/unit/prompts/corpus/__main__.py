"""Print the number of misclassified sentences of the corpus per language.

    python -m tests.unit.prompts.corpus

`--show` also lists each of them.
"""

import sys

from tests.unit.prompts.corpus.rates import PARTS, VERDICTS, sentences, wrong


def main() -> None:
    """Print one line per language: errors and totals, for both verdicts and both parts."""
    columns = [(verdict, part) for verdict in VERDICTS for part in PARTS]
    lines = [["language", *(f"{verdict} {part}" for verdict, part in columns)]]
    codes = sentences("refused") | sentences("accepted")
    lines += [[code or "all", *(_rate(*column, code) for column in columns)] for code in (*codes, None)]
    text = [" ".join([f"{line[0]:10}", *(f"{cell:>20}" for cell in line[1:])]) for line in lines]
    if "--show" in sys.argv:
        shown = ((verdict, part, *error) for verdict, part in columns for error in wrong(verdict, part))
        text += [f"{verdict} {part} {code}: {sentence}" for verdict, part, code, sentence in shown]
    sys.stdout.write("\n".join(text) + "\n")


def _rate(verdict: str, part: str, code: str | None) -> str:
    count = sum(
        len(parts.get(part, ())) for known, parts in sentences(verdict).items() if code in (None, known)
    )
    errors = sum(code in (None, known) for known, _ in wrong(verdict, part))
    return f"{errors} of {count}"


if __name__ == "__main__":
    main()
