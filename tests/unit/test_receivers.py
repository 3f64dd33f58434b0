"""Which addresses may be told of events."""

import pytest
from standardwebhooks import Webhook

from shared.domain.receivers import is_public, new_secret, url_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/batchpay?tenant=1",
        "https://hooks.example.com:8443/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://xn--bcher-kva.example/",
    ],
)
def test_addresses_on_the_internet_may_be_told(url: str) -> None:
    assert url_fault(url, environment="prod") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "https://",
        "https:///path",
        "https://[::1",
        "https://hooks.example.com:port/",
        "https://user@hooks.example.com/",
        "https://:secret@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nX-Header: 1",
        "https://hööks.example.com/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://db.internal/",
        "https://printer.local/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1%25eth0]/",
    ],
)
def test_everything_else_may_not(url: str) -> None:
    assert url_fault(url, environment="prod")


def test_a_developer_may_tell_this_machine_without_tls() -> None:
    assert url_fault("http://127.0.0.1:9999/hook", environment="dev") is None
    assert url_fault("http://localhost/", environment="dev1") is None
    assert url_fault("file:///etc/passwd", environment="dev")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  # nothing is bound to it
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:192.168.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::",
    ],
)
def test_an_address_of_a_network_of_our_own_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def test_secrets_are_new_every_time_and_the_library_takes_them() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert Webhook(first)
