"""A connection to the MQTT broker as agent.toml describes it, for every MQTT client here."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.config import Mqtt
from edge_agent.errors import BrokerError

if TYPE_CHECKING:
    import paho.mqtt.client as paho

MQTT_3_1_1 = 4
MQTT_5 = 5
CONNECT_TIMEOUT_S = 5.0


def address(mqtt: Mqtt) -> tuple[str, int]:
    """Host and port of the broker; 1883 or, with TLS, 8883 when the URL names none.

    Raises:
        BrokerError: when the URL has no host or no usable port.
    """
    parts = urlsplit(mqtt.url)
    try:
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
    except ValueError:
        port = 0
    if not parts.hostname or not port:
        raise BrokerError(f"{mqtt.url}: no broker's address; write mqtt://host:1883")
    return parts.hostname, port


def make_client(mqtt: Mqtt, client_id: str, protocol: int) -> paho.Client:
    """A paho client with credentials and TLS set, not yet connected. It never reconnects itself.

    Args:
        mqtt: the ``[mqtt]`` section.
        client_id: unique per broker; two clients with one id throw each other out.
        protocol: `MQTT_5` or `MQTT_3_1_1`.

    Raises:
        BrokerError: when a certificate, key or password file cannot be used.
    """
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion(protocol),
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    if mqtt.username:
        client.username_pw_set(mqtt.username, _password(mqtt))
    if urlsplit(mqtt.url).scheme == "mqtts":
        client.tls_set_context(tls_context(mqtt))
    return client


def tls_context(mqtt: Mqtt) -> ssl.SSLContext:
    """Server verification against ``ca`` (or the system's), client certificate when given.

    Raises:
        BrokerError: naming the file that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(mqtt.ca) if mqtt.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"{mqtt.ca}: no CA certificate ({_reason(error)})") from None
    if mqtt.cert is not None:
        try:
            context.load_cert_chain(str(mqtt.cert), str(mqtt.key) if mqtt.key else None)
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(
                f"{mqtt.cert}, {mqtt.key}: no client certificate with its key ({_reason(error)})"
            ) from None
    return context


def expired_certificate(mqtt: Mqtt) -> str:
    """Whether it is this device's own certificate that is out of date, in words; "" when not.

    A broker that refuses it hangs up without a reason (TLS 1.3 ends its handshake before). The
    parser is only imported here, when a connection failed.
    """
    if mqtt.cert is None:
        return ""
    from datetime import datetime, timezone

    from cryptography.x509 import load_pem_x509_certificate

    try:
        certificate = load_pem_x509_certificate(mqtt.cert.read_bytes())
    except (OSError, ValueError):
        return ""
    now = datetime.now(timezone.utc)
    if now > certificate.not_valid_after_utc:
        return f"{mqtt.cert}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}; renew it"
    if now < certificate.not_valid_before_utc:
        since = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        return f"{mqtt.cert}: valid from {since}; is this device's clock right?"
    return ""


def _password(mqtt: Mqtt) -> str | None:
    if mqtt.password_file is None:
        return None
    try:
        return mqtt.password_file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(
            f"{mqtt.password_file}: cannot read the password ({_reason(error)})"
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
