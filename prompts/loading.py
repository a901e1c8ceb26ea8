"""Loading of the catalogue with its content filters, before the first request needs them."""

from prompts.adults import find_minor
from prompts.catalogue import Catalogue, default_catalogue
from prompts.explicit import find_explicit


def load_catalogue_and_filters() -> Catalogue:
    """Return the catalogue with compiled filters. The first call takes about a second of CPU time."""
    catalogue = default_catalogue()
    find_minor("sample", catalogue.underage)
    find_explicit("sample", catalogue.nsfw.explicit)
    return catalogue
