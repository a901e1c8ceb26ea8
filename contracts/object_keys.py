"""Keys of objects in the bucket. The keys of a tenant start with `{tenant}/`."""


def is_of_tenant(key: str, tenant: str) -> bool:
    """Return whether a key belongs to a tenant. Requests may contain any key, so it must be checked."""
    owner, _, rest = key.partition("/")
    is_printable = not any(letter < " " or letter == "\x7f" for letter in key)
    return is_printable and owner == tenant and all(step not in ("", ".", "..") for step in rest.split("/"))
