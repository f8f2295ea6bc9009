# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers on loopback that answer while a test runs."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

POLL = 0.02  # seconds until a server notices that it is to end


@contextmanager
def answering(server: http.server.HTTPServer) -> Iterator[int]:
    """Let a server answer from a thread of its own, and close it in the end; gives its port."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL,))
    with server:
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
