"""Password, certificates and keys for the broker, read from their files."""

import ssl
from pathlib import Path

from cryptography import x509

from node.shell.config import MqttConfig
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.files import TEXT_BYTES_MAX, read_regular, read_text
from node.shell.keys.floor_tls import KnownTime, judge_by


def read_password(path: str | None) -> str | None:
    """Return the first line of `path`; None for None.

    Raises
    ------
    ShellError
        If it cannot be read or is empty.
    """
    if path is None:
        return None
    try:
        return read_text(Path(path)).splitlines()[0]
    except IndexError as fault:
        raise ShellError(
            f"{path}: empty; its first line must be the password", exit_status=EXIT_INPUT
        ) from fault


def tls_context(config: MqttConfig, known: KnownTime | None = None) -> ssl.SSLContext | None:
    """Return how to speak TLS to the broker; None when no authority of its is named.

    Dates of certificates are judged by `known`; without it by the machine's clock.

    Raises
    ------
    ShellError
        If a certificate or key cannot be read.
    """
    if config.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.certificate_file is not None:
            context.load_cert_chain(config.certificate_file, config.key_file)
    except ssl.SSLError as fault:
        raise ShellError(
            f"mqtt.ca_file, certificate_file or key_file: {fault.reason or 'not PEM'}; must be PEM",
            exit_status=EXIT_INPUT,
        ) from fault
    except OSError as fault:
        raise file_fault(fault.filename or config.ca_file, fault) from fault
    if known is not None:
        judge_by(context, known)
    return context


def first_end_s(config: MqttConfig) -> int | None:
    """Return when the first of the node's certificates ends, in seconds since 1970.

    None where there is none, or none that can be read: `tls_context` says what is wrong with it.
    """
    ends = []
    for path in (config.ca_file, config.certificate_file):
        if path is None:
            continue
        try:
            found = x509.load_pem_x509_certificates(read_regular(Path(path), TEXT_BYTES_MAX))
        except (ShellError, ValueError):
            continue
        ends += [int(one.not_valid_after_utc.timestamp()) for one in found]
    return min(ends, default=None)
