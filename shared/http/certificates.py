"""The certificate authorities that we trust, read once per process: reading them takes longer than a call."""

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """For `verify=` of every client; `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the usual ones."""
    return httpx.create_ssl_context()
