"""Trusted certificate authorities, loaded once per process: loading takes longer than a request."""

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """Return the context for `verify=` of every client. `SSL_CERT_FILE` and `SSL_CERT_DIR` are respected."""
    return httpx.create_ssl_context()
