"""Identification of callers over HTTP."""

TRUSTED_HEADERS = (
    "Callers are identified by the headers `X-Tenant-Id` and `X-User-Id`, which are trusted as they are: "
    "this version does not authenticate anybody. Run it behind your own authenticated front end, and do not "
    "let anyone else reach its ports."
)
"""The statement that the README and both OpenAPI documents make."""
