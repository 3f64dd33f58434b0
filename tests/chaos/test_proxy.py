"""Each disturbance of the proxy, as a client and a server of plain sockets see it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Proxies, Weather
from tests.waiting import eventually

PAIR = ("client", "echo")
WITHIN_S = 10.0
# How a reset shows depends on whether it comes before the client's words or after them.
GONE = (ConnectionResetError, BrokenPipeError)


@pytest.fixture
def received() -> list[bytes]:
    """What the server got."""
    return []


@pytest.fixture
def echo(received: list[bytes]) -> Iterator[int]:
    """The port of a server that sends everything back."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(1024):
                    received.append(chunk)
                    connection.sendall(chunk)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    with Proxies() as proxies:
        yield proxies


@pytest.fixture
def port(proxies: Proxies, echo: int) -> int:
    return proxies.before(*PAIR, echo)


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as client:
        yield client


def answered(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(1024)


def test_in_fair_weather_everything_passes(client: socket.socket, proxies: Proxies) -> None:
    assert answered(client, b"one") == b"one"
    assert proxies.links(*PAIR) == 1
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1024) == b""
    eventually(lambda: proxies.links(*PAIR) == 0, what="the end has passed both ways")


def test_a_cut_resets_the_connection(client: socket.socket, proxies: Proxies) -> None:
    assert answered(client, b"one") == b"one"
    assert proxies.cut(*PAIR) == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1024)


def test_a_delay_holds_what_passes(client: socket.socket, proxies: Proxies) -> None:
    with proxies.weather(*PAIR, Weather(delay_s=3600.0)):
        client.sendall(b"one")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1024)


def test_swallowed_answers_leave_the_request_executed_and_the_client_in_the_dark(
    client: socket.socket, proxies: Proxies, received: list[bytes]
) -> None:
    with proxies.weather(*PAIR, Weather(deaf=True)):
        client.sendall(b"one")
        eventually(lambda: received == [b"one"], what="the server has the request")
        eventually(lambda: proxies.links(*PAIR) == 1)
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1024)
    client.settimeout(WITHIN_S)
    with pytest.raises(ConnectionResetError):
        client.recv(1024)


def test_silence_lets_nothing_through(client: socket.socket, proxies: Proxies, received: list[bytes]) -> None:
    assert answered(client, b"one") == b"one"
    with proxies.weather(*PAIR, Weather(deaf=True, mute=True)):
        client.sendall(b"two")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1024)
    client.settimeout(WITHIN_S)
    with pytest.raises(ConnectionResetError):
        client.recv(1024)
    assert received == [b"one"]


def test_a_half_closed_connection_ends_for_the_client_only(client: socket.socket, proxies: Proxies) -> None:
    assert answered(client, b"one") == b"one"
    with proxies.half_closed(*PAIR):
        assert client.recv(1024) == b""
        client.sendall(b"two")
        assert proxies.links(*PAIR) == 1
    eventually(lambda: proxies.links(*PAIR) == 0, what="the connection is not kept")


def test_a_refusing_proxy_resets_old_and_new_connections(client: socket.socket, port: int, proxies: Proxies) -> None:
    assert answered(client, b"one") == b"one"
    with proxies.weather(*PAIR, Weather(refusing=True)):
        with pytest.raises(ConnectionResetError):
            client.recv(1024)
        # The reset may come before the connection is known to be made.
        with pytest.raises(GONE), socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as another:
            answered(another, b"two")
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as later:
        assert answered(later, b"three") == b"three"


def test_a_server_that_is_down_is_a_reset(proxies: Proxies) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()[1]
    port = proxies.before("client", "nobody", nobody)
    # The reset may come before the client knows that it is connected.
    with pytest.raises(GONE), socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as client:
        answered(client, b"one")
