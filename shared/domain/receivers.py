"""Who may be told by webhook: addresses on the internet, never one of our own network."""

import re
import secrets
from base64 import b64encode
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

# As many bytes as the hash that they key (Standard Webhooks wants 24 to 64).
_SECRET_BYTES: Final = 32
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
# Networks in which an IPv4 address is hidden: NAT64, 6to4, Teredo.
_HIDING: Final = tuple(IPv6Network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


def is_development(environment: str) -> bool:
    """In environments named dev... a receiver may be on this machine, and without TLS."""
    return environment.startswith("dev")


def url_fault(url: str, *, environment: str) -> str | None:
    """What is wrong with a receiver's URL; None if it may be used. What its name resolves to is another question."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    schemes = {"https", "http"} if is_development(environment) else {"https"}
    if not _PLAIN.fullmatch(url):
        return "it must be plain characters without spaces"
    if parts.scheme not in schemes or not host:
        return f"it must begin with {' or '.join(f'{scheme}://' for scheme in sorted(schemes))} and a host"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "it must have no user, password or fragment"
    if not is_development(environment) and not _may_be_public(host):
        return "its host is not on the internet"
    return None


def is_public(address: str) -> bool:
    """Whether an IP address, as sockets write it, is on the internet: not private, loopback, link-local, reserved."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        if any(parsed in network for network in _HIDING):
            return False
        parsed = parsed.ipv4_mapped or parsed
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it."""
    return "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _may_be_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        name = host.removesuffix(".")
        return name != "localhost" and not name.endswith((".localhost", ".local", ".internal"))
