"""A Kafka behind TLS and a login: every client gets in with the settings for it, and none without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from processor import topicadmin
from processor.config import ConfigurationError, load
from processor.deployment import runtime_config
from processor.localkafka import LocalKafka, free_port
from processor.runtime.failstop import KafkaUnavailable
from tests.support.deployment import PARTITIONS, Deployment, order_placed, photo_deleted

pytestmark = pytest.mark.broker

USER, PASSWORD = "worker", "not-a-secret"
MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule required"
LOGINS = f'{MODULE} user_{USER}="{PASSWORD}";'


def pkcs8(key: bytes) -> bytes:
    """Write a private key in the one form that Java reads."""
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Certificates:
    """An authority, a broker's certificate and a client's, as PEM files."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.authority = directory / "authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        self.broker = directory / "broker.pem"
        broker = authority.issue_cert("127.0.0.1")
        chain = b"".join(x.bytes() for x in broker.cert_chain_pems)
        self.broker.write_bytes(pkcs8(broker.private_key_pem.bytes()) + chain)
        client = authority.issue_cert("client.example")
        self.certificate, self.key = directory / "client.pem", directory / "client-key.pem"
        client.private_key_pem.write_to_path(self.key)
        self.certificate.write_bytes(b"".join(x.bytes() for x in client.cert_chain_pems))
        self.stranger = directory / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(self.stranger)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class SecuredKafka(LocalKafka):
    """A broker with two more listeners: TLS with certificates of clients, and TLS with a login."""

    def __init__(self, certificates: Certificates) -> None:
        plain, self.tls, self.login, controller = (free_port() for _ in range(4))
        listeners = {"PLAINTEXT": plain, "SSL": self.tls, "SASL_SSL": self.login}
        addresses = [f"{name}://127.0.0.1:{port}" for name, port in listeners.items()]
        protocols = ",".join(f"{name}:{name}" for name in listeners)
        super().__init__(
            port=plain,
            properties={
                "listeners": ",".join([*addresses, f"CONTROLLER://127.0.0.1:{controller}"]),
                "advertised.listeners": ",".join(addresses),
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocols}",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(certificates.broker),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(certificates.authority),
                "listener.name.ssl.ssl.client.auth": "required",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": LOGINS,
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM_MODULE};",
            },
        )


@pytest.fixture(scope="module")
def secured(certificates: Certificates) -> Iterator[SecuredKafka]:
    with SecuredKafka(certificates) as broker:
        kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsert = UserScramCredentialUpsertion(USER, kind, PASSWORD.encode())
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        for done in admin.alter_user_scram_credentials([upsert]).values():
            done.result(20)
        yield broker


def login_variables(certificates: Certificates, **others: str) -> dict[str, str]:
    return {
        "ORDERHALT_SECURITY_PROTOCOL": "SASL_SSL",
        "ORDERHALT_SSL_CA_FILE": str(certificates.authority),
        "ORDERHALT_SASL_MECHANISM": "PLAIN",
        "ORDERHALT_SASL_USERNAME": USER,
        "ORDERHALT_SASL_PASSWORD": PASSWORD,
        **others,
    }


def test_a_worker_and_every_command_get_in(
    secured: SecuredKafka, certificates: Certificates, topic_prefix: str, tmp_path: Path
) -> None:
    """Through the listener with TLS and login: topics, worker, explain, tail, rejected, simulate."""
    deployment = Deployment(secured, topic_prefix, tmp_path)
    deployment.environment |= login_variables(certificates)
    deployment.environment["ORDERHALT_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{secured.login}"
    created = deployment.run("topics", "create", "--partitions", str(PARTITIONS))
    assert created.returncode == 0, created.stderr
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.send("order-placed", b"{")
    worker = deployment.start("processor.cli", "worker")
    try:
        deployment.read("order-halted", 1)
        deployment.read("orderhalt-rejected", 1)
        for command in (
            ("explain", "studio-1", "o1"),
            ("tail", "--from-beginning", "--to-end"),
            ("rejected", "list"),
            ("topics", "check"),
            ("simulate", "--fast", "--events", "20"),
        ):
            done = deployment.run(*command)
            assert done.returncode == 0, (command, done.stderr)
        worker.terminate()
        assert worker.wait(20) == 0, deployment.log()
    finally:
        worker.kill()
        worker.wait()
    assert PASSWORD not in deployment.log()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_every_mechanism_that_the_broker_has_gets_in(
    secured: SecuredKafka, certificates: Certificates, mechanism: str
) -> None:
    settings = {**login_settings(secured, certificates), "sasl_mechanism": mechanism}
    assert check(**settings) == 0, "there are no topics without a prefix"


def login_settings(secured: SecuredKafka, certificates: Certificates) -> dict[str, Any]:
    return {
        "bootstrap_servers": f"127.0.0.1:{secured.login}",
        "security_protocol": "SASL_SSL",
        "ssl_ca_file": certificates.authority,
        "sasl_mechanism": "PLAIN",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    }


def check(**settings: Any) -> int:
    return asyncio.run(topicadmin.check(load(**settings))).partitions


def test_a_certificate_of_our_own_gets_in(
    secured: SecuredKafka, certificates: Certificates
) -> None:
    settings: dict[str, Any] = {
        "bootstrap_servers": f"127.0.0.1:{secured.tls}",
        "security_protocol": "SSL",
        "ssl_ca_file": certificates.authority,
    }
    ours = {"ssl_certificate_file": certificates.certificate, "ssl_key_file": certificates.key}
    assert check(**settings, **ours) == 0, "there are no topics without a prefix"
    with pytest.raises(KafkaUnavailable):
        check(**settings)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sasl_password": "wrong"}, "Authentication failed|Invalid username or password"),
        ({"ssl_ca_file": "stranger"}, "CERTIFICATE_VERIFY_FAILED|certificate verify failed"),
        ({"security_protocol": "SASL_PLAINTEXT", "ssl_ca_file": None}, "security_protocol"),
    ],
    ids=["password", "authority", "protocol"],
)
def test_who_does_not_get_in_is_told_why(
    secured: SecuredKafka, certificates: Certificates, changed: dict[str, str | None], words: str
) -> None:
    settings = login_settings(secured, certificates) | changed
    if settings["ssl_ca_file"] == "stranger":
        settings["ssl_ca_file"] = certificates.stranger
    with pytest.raises(KafkaUnavailable, match=words) as error:
        check(**settings)
    assert "orderhalt config" in str(error.value)
    assert PASSWORD not in str(error.value)


def faults(**settings: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load(**settings)
    return str(error.value).splitlines()


def test_files_that_do_not_fit_are_named(certificates: Certificates, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    found = faults(
        security_protocol="SSL",
        ssl_ca_file=nothing,
        ssl_certificate_file=certificates.certificate,
        ssl_key_file=certificates.broker,
    )
    assert [line.split(":")[0] for line in found] == ["--ssl-ca-file", "ORDERHALT_SSL_KEY_PASSWORD"]
    assert "holds no certificates" in found[0]
    assert "do not fit" in found[1]


def test_what_would_be_without_effect_is_a_fault(certificates: Certificates) -> None:
    """A password that is set but not used, or a CA, would let somebody believe in a safe line."""
    found = faults(ssl_ca_file=certificates.authority, sasl_password=PASSWORD)
    assert [line.split(":")[0] for line in found] == ["--ssl-ca-file", "--sasl-password"]


def test_secrets_are_never_shown() -> None:
    settings = load(security_protocol="SASL_PLAINTEXT", sasl_username=USER, sasl_password=PASSWORD)
    assert PASSWORD not in repr(settings)
    assert PASSWORD not in str(settings.model_dump())
    assert PASSWORD not in repr(runtime_config(settings))
