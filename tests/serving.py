"""A server of files on loopback that answers for parts of them, with entity tags.

It is a process of its own: GDAL holds the interpreter while it waits for some of its answers.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@contextmanager
def serving(
    folder: Path,
    *,
    parts: bool = True,
    tags: bool = True,
    dates: bool = False,
    fresh: bool = False,
) -> Iterator[str]:
    """Serve a folder; gives the address of it.

    Parameters
    ----------
    folder : Path
    parts, tags, dates : bool
        Whether parts of files are given, entity tags, and when files were changed.
    fresh : bool
        Whether that is always now, as of files that are made when they are asked for.
    """
    switches = (parts, tags, dates, fresh)
    words = [sys.executable, __file__, str(folder), *(str(int(each)) for each in switches)]
    with subprocess.Popen(words, **PIPES, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}


class Files(BaseHTTPRequestHandler):
    folder: Path
    parts: bool
    tags: bool
    dates: bool
    fresh: bool

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = self.folder / unquote(self.path.split("?")[0]).lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        wanted = self.headers.get("Range") if self.parts else None
        first, last = 0, len(data) - 1
        if wanted:
            start, _, stop = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(stop or last), last)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if self.parts:
            self.send_header("Accept-Ranges", "bytes")
        if self.tags:
            self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')  # noqa: S324
        if self.dates:
            changed = None if self.fresh else path.stat().st_mtime
            self.send_header("Last-Modified", self.date_time_string(changed))
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if body:
            self.wfile.write(data[first : last + 1])

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    Files.folder = Path(sys.argv[1])
    switches = (bool(int(each)) for each in sys.argv[2:])
    Files.parts, Files.tags, Files.dates, Files.fresh = switches
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as listening:
        print(listening.server_port, flush=True)
        listening.serve_forever()
