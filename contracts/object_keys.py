"""Keys of objects in the bucket: a tenant's objects lie below `{tenant}/`."""


def is_of_tenant(key: str, tenant: str) -> bool:
    """Return whether a key lies in the tenant's part of the bucket. A request may name any key."""
    owner, _, rest = key.partition("/")
    is_printable = not any(letter < " " or letter == "\x7f" for letter in key)
    return is_printable and owner == tenant and all(step not in ("", ".", "..") for step in rest.split("/"))
