"""Cutting this process's connections, as a network fault would."""

import os
import socket
from urllib.parse import urlsplit

import psutil


def cut_connections(amqp_url: str) -> int:
    """Shut down every TCP connection of this process to the broker; return how many there were.

    The broker's management API can close connections too, but lists a new one only seconds after it was opened.
    """
    port = urlsplit(amqp_url).port
    cut = 0
    for connection in psutil.Process().net_connections("tcp"):
        if connection.raddr and connection.raddr.port == port and connection.status == psutil.CONN_ESTABLISHED:
            with socket.socket(fileno=os.dup(connection.fd)) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)
            cut += 1
    return cut
