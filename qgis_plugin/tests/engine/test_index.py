# SPDX-License-Identifier: GPL-2.0-or-later
"""Indexes as users have them: named by pip or uv, with passwords, behind proxies, old and new."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from answering import answering

from geoseg_qgis.engine.index import File, Index, Web
from geoseg_qgis.engine.process import Cancelled

CONTENT = b"a wheel " * 20_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
JSON = "application/vnd.pypi.simple.v1+json"


class Server:
    """Serves pages, and keeps what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, dict(self.headers)))
                status, headers, body = server.pages.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                """Be silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def serve(self, path: str, body: bytes, **headers: str) -> None:
        """Add a page."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (int(told.pop("status", "200")), told, body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    with answering(found.server):
        yield found


@pytest.fixture
def other() -> Iterator[Server]:
    found = Server()
    with answering(found.server):
        yield found


def _no_pip(**told: str) -> dict[str, str]:
    return {"PIP_CONFIG_FILE": os.devnull, **told}


def test_without_any_setting_the_public_index_is_used() -> None:
    assert Index.of_user(_no_pip()) == Index()


def test_variables_of_uv_go_before_those_of_pip_and_these_before_its_files(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://file.example/simple\ncert = /ca.pem\n"
        f"extra-index-url = https://a.example/simple\n  https://b.example/simple\n"
        f"find-links = {tmp_path} /not/there\n"
    )
    of_file = Index.of_user({"PIP_CONFIG_FILE": str(file)})
    assert of_file == Index(
        "https://file.example/simple",
        ("https://a.example/simple", "https://b.example/simple"),
        (str(tmp_path),),
        "/ca.pem",
    )
    pip = {"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://pip.example/simple"}
    assert Index.of_user(pip).url == "https://pip.example/simple"
    uv = {**pip, "UV_INDEX_URL": "https://uv.example/simple", "SSL_CERT_FILE": "/own.pem"}
    assert Index.of_user(uv).url == "https://uv.example/simple"
    assert Index.of_user(uv).certificates == "/own.pem"


def test_a_broken_file_of_pip_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("index-url = https://no.section\n")
    without = Index.of_user({"PIP_CONFIG_FILE": str(tmp_path / "not there")})
    assert Index.of_user({"PIP_CONFIG_FILE": str(file)}) == without


def test_uv_is_told_the_index_by_variables() -> None:
    told = Index("https://t0ken@i.example", ("https://x.example",), ("/w",), "/ca.pem").variables()
    assert told == {
        "UV_DEFAULT_INDEX": "https://t0ken@i.example",
        "UV_INDEX": "https://x.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/w",
        "SSL_CERT_FILE": "/ca.pem",
    }
    assert Index().variables()["UV_SYSTEM_CERTS"] == "1"


def test_files_of_an_index_with_json_are_listed(server: Server) -> None:
    files = [
        {"filename": "uv-1.0-py3-none-any.whl", "url": "../f/a.whl", "hashes": {"sha256": "ab"}},
        {"filename": "b.whl", "url": "https://f.example/b.whl", "hashes": {}, "yanked": "bad"},
    ]
    body = json.dumps({"files": files}).encode()
    server.serve("/simple/uv/", body, Content_Type=JSON)
    assert Web({}).files(f"{server.url}/simple/", "uv") == [
        File("uv-1.0-py3-none-any.whl", f"{server.url}/simple/f/a.whl", "ab"),
        File("b.whl", "https://f.example/b.whl", "", is_withdrawn=True),
    ]


def test_files_of_an_index_with_pages_are_listed(server: Server) -> None:
    page = (
        b'<!DOCTYPE html><body><a href="../../f/uv-1.0%2Bx-py3-none-any.whl#sha256=ab">uv</a>'
        b'<a href="/f/c.whl#md5=cd" data-yanked="">c</a><a name="x">none</a></body>'
    )
    server.serve("/simple/uv/", page, Content_Type="text/html")
    assert Web({}).files(f"{server.url}/simple", "uv") == [
        File("uv-1.0+x-py3-none-any.whl", f"{server.url}/f/uv-1.0%2Bx-py3-none-any.whl", "ab"),
        File("c.whl", f"{server.url}/f/c.whl", "", is_withdrawn=True),
    ]


def test_a_download_tells_its_progress_and_is_whole(server: Server) -> None:
    server.serve("/a.whl", CONTENT)
    told: list[tuple[int, int]] = []
    target = io.BytesIO()
    file = File("a.whl", f"{server.url}/a.whl", DIGEST)
    Web({}).download(file, target, lambda *each: told.append(each), lambda: False)
    assert target.getvalue() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)
    assert Web({}).size(file.url) == len(CONTENT)


def test_a_download_of_another_content_is_refused(server: Server) -> None:
    server.serve("/a.whl", CONTENT + b"!")
    file = File("a.whl", f"{server.url}/a.whl", DIGEST)
    with pytest.raises(ValueError, match=r"the sha256 of a\.whl is not the one the index tells"):
        Web({}).download(file, io.BytesIO(), lambda *each: None, lambda: False)


def test_a_download_is_cancelled(server: Server) -> None:
    server.serve("/a.whl", CONTENT)
    target = io.BytesIO()
    file = File("a.whl", f"{server.url}/a.whl", DIGEST)
    with pytest.raises(Cancelled):
        Web({}).download(file, target, lambda *each: None, lambda: target.tell() > 0)
    assert 0 < target.tell() < len(CONTENT)


def test_a_password_goes_to_its_server_and_to_no_other(server: Server, other: Server) -> None:
    other.serve("/a", b"here")
    server.serve("/a", b"", status="302", Location=f"{other.url}/a")
    with Web({}).opened(f"http://jane:p%40ss@{server.host}/a") as answer:
        assert answer.read() == b"here"
    word = base64.b64encode(b"jane:p@ss").decode()
    assert server.asked[0][1]["Authorization"] == f"Basic {word}"
    assert "Authorization" not in other.asked[0][1]


def test_a_proxy_is_asked_with_its_password_unless_the_host_is_excepted(server: Server) -> None:
    server.serve("http://index.example/uv", b"through the proxy")
    proxy = f"http://jane:p%40ss@{server.host}"
    with Web({"HTTP_PROXY": proxy}).opened("http://index.example/uv") as answer:
        assert answer.read() == b"through the proxy"
    word = base64.b64encode(b"jane:p@ss").decode()
    assert server.asked[0][1]["Proxy-Authorization"] == f"Basic {word}"
    server.serve("/uv", b"direct")
    web = Web({"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"})
    with web.opened(f"{server.url}/uv") as answer:
        assert answer.read() == b"direct"


def test_a_socks_proxy_is_refused_where_it_cannot_be_used(server: Server) -> None:
    server.serve("/a", b"direct")
    web = Web({"HTTPS_PROXY": "socks5h://proxy.example:1080", "NO_PROXY": "127.0.0.1"})
    with web.opened(f"{server.url}/a") as answer:
        assert answer.read() == b"direct"
    with pytest.raises(ValueError, match="SOCKS proxy"), web.opened("https://i.example/simple"):
        pass


@pytest.mark.parametrize("url", ["ftp://i.example/a", "data:,a", "i.example/simple"])
def test_other_kinds_of_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address of a package index"), Web({}).opened(url):
        pass


def test_a_folder_on_disk_can_be_an_index(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(CONTENT)
    with Web({}).opened((tmp_path / "a.whl").as_uri()) as answer:
        assert answer.read() == CONTENT
