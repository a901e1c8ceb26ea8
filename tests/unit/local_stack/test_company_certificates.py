"""The jars are fetched through a proxy or mirror with a certificate authority of the company's own."""

import datetime
import hashlib
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.apache_kafka.fetching import REPOSITORY, CannotFetchKafka, fetch_all
from deploy.local.apache_kafka.installation import Jar

CONTENT = b"a jar"
JAR = Jar("org.example", "one", "1.0", hashlib.sha256(CONTENT).hexdigest())
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Answer(BaseHTTPRequestHandler):
    """A Maven repository with one jar."""

    def do_GET(self) -> None:
        found = self.path.endswith(".jar")
        body = CONTENT if found else hashlib.sha1(CONTENT).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def a_certificate(folder: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for this machine that is its own authority, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "company")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "company.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(pem, form, plain))
    return public, private


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The company's certificate; its mirror is the Maven repository."""
    public, private = a_certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(REPOSITORY, f"https://127.0.0.1:{server.server_port}/maven2")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield public
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(folder: Path) -> None:
    (folder / "cache").mkdir()
    fetch_all([JAR], folder / "cache" / "kafka", lambda _: None, pauses=())


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_jars_are_fetched_with_the_authority_that_a_variable_names(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority))
    fetch(tmp_path)
    assert (tmp_path / "cache" / "kafka" / JAR.file_name).read_bytes() == CONTENT


def test_an_authority_that_is_not_trusted_is_named_with_the_variables(
    authority: Path, tmp_path: Path
) -> None:
    with pytest.raises(CannotFetchKafka, match="is not trusted") as failure:
        fetch(tmp_path)
    assert "SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in str(failure.value)
