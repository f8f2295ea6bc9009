# SPDX-License-Identifier: GPL-2.0-or-later
"""The package index as pip and uv are told of it on this computer, and how to read from it."""

from __future__ import annotations

import base64
import configparser
import hashlib
import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, BinaryIO

from .process import Cancelled

__all__ = ["File", "Index", "Web"]

PUBLIC_INDEX = "https://pypi.org/simple"
SECONDS = 15  # without a single byte
PIECE = 1 << 16

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class Index:
    """Where packages come from.

    Attributes
    ----------
    url : str
        The index.
    extra : tuple of str
        More of them.
    links : tuple of str
        Folders or pages with wheels.
    certificates : str
        A file of the authorities to trust; empty for those of the system.
    """

    url: str = PUBLIC_INDEX
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    certificates: str = ""

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> Index:
        """Read what the user told uv or pip, by variables or in pip's files."""
        pip = _pip_options(environ)

        def told(*names: str) -> str:
            return next((environ[name] for name in names if environ.get(name)), "")

        links = told("UV_FIND_LINKS").split(",") if told("UV_FIND_LINKS") else None
        return cls(
            told("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
            or pip.get("index-url", PUBLIC_INDEX),
            tuple(
                (
                    told("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
                    or pip.get("extra-index-url", "")
                ).split()
            ),
            _existing(links or (told("PIP_FIND_LINKS") or pip.get("find-links", "")).split()),
            told("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
            or pip.get("cert", ""),
        )

    def variables(self) -> dict[str, str]:
        """Tell uv the same; by variables, as everybody can read a command line."""
        told = {
            "UV_DEFAULT_INDEX": self.url,
            "UV_INDEX": " ".join(self.extra),
            "UV_FIND_LINKS": ",".join(self.links),
            "SSL_CERT_FILE": self.certificates,
        }
        if self.extra:
            # As pip does: the best version of all of them, not the first index that has any.
            told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if not self.certificates:
            # Certificates of a company are in the store of the system. The second name is older.
            told["UV_SYSTEM_CERTS"] = told["UV_NATIVE_TLS"] = "1"
        return {name: value for name, value in told.items() if value}


def _existing(links: Iterable[str]) -> tuple[str, ...]:
    """Leave out folders that are not there: pip passes over them, uv stops at them."""
    expanded = [each if "://" in each else os.path.expanduser(each) for each in links]
    return tuple(each for each in expanded if "://" in each or os.path.isdir(each))


def _pip_options(environ: Mapping[str, str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                options.update(parser.items(section))
    return options


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip looks, what counts less first."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path.home()
    if sys.platform == "win32":
        found = [
            Path(environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip" / "pip.ini",
            home / "pip" / "pip.ini",
            Path(environ.get("APPDATA", str(home))) / "pip" / "pip.ini",
        ]
    else:
        configuration = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        found = [
            Path("/etc/xdg/pip/pip.conf"),
            Path("/etc/pip.conf"),
            home / ".pip" / "pip.conf",
            configuration / "pip" / "pip.conf",
        ]
        if sys.platform == "darwin":
            found.append(home / "Library" / "Application Support" / "pip" / "pip.conf")
    return [*found, *([Path(named)] if named else [])]


@dataclass(frozen=True)
class File:
    """A file that an index offers; ``sha256`` is empty where it does not tell."""

    name: str
    url: str
    sha256: str
    is_withdrawn: bool = False


class Web:
    """Reads from servers through the user's proxy.

    Parameters
    ----------
    environ : mapping
        Variables, of which ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` count.
    certificates : str
        As of `Index`.
    """

    def __init__(self, environ: Mapping[str, str], certificates: str = "") -> None:
        self._proxies = _proxies(environ)
        self._certificates = certificates

    def files(self, index: str, package: str) -> list[File]:
        """List what an index offers of a package."""
        url = f"{index.rstrip('/')}/{package}/"
        with self.opened(url, accept=_ACCEPT) as answer:
            content, text = answer.headers.get("Content-Type", ""), answer.read()
            base = answer.geturl()
        if content.startswith(_JSON):
            return [_from_json(each, base) for each in json.loads(text)["files"]]
        page = _Page(base)
        page.feed(text.decode("utf-8", "replace"))
        return page.files

    def size(self, url: str) -> int:
        """Ask how many bytes a file has; 0 when the server does not tell."""
        with self.opened(url, method="HEAD") as answer:
            return int(answer.headers.get("Content-Length") or 0)

    def download(
        self,
        file: File,
        target: BinaryIO,
        on_bytes: Callable[[int, int], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Write a file of an index to an open file.

        Raises
        ------
        ValueError
            When it is not what the index promised.
        """
        digest, done = hashlib.sha256(), 0
        with self.opened(file.url) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            for piece in iter(lambda: answer.read(PIECE), b""):
                if is_cancelled():
                    raise Cancelled
                digest.update(piece)
                target.write(piece)
                done += len(piece)
                on_bytes(done, total)
        if digest.hexdigest() != file.sha256:
            raise ValueError(f"the sha256 of {file.name} is not the one the index tells")

    @contextmanager
    def opened(self, url: str, accept: str = "*/*", method: str = "GET") -> Iterator[Any]:
        """Open an address; user and password in it are sent to this server only."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("https", "http", "file"):
            raise ValueError(f"{parts.scheme}: is no address of a package index")
        _, _, host = parts.netloc.rpartition("@")
        bare = urllib.parse.urlunsplit(parts._replace(netloc=host, fragment=""))
        request = urllib.request.Request(bare, headers={"Accept": accept}, method=method)  # noqa: S310
        if parts.username:
            user = urllib.parse.unquote(parts.username)
            password = urllib.parse.unquote(parts.password or "")
            word = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
            request.add_unredirected_header("Authorization", f"Basic {word}")
        direct = bool(urllib.request.proxy_bypass_environment(host, self._proxies))  # type: ignore[attr-defined]
        try:
            answer = self._opener(direct).open(request, timeout=SECONDS)
        except urllib.error.URLError as error:
            unreached = isinstance(error.reason, (ConnectionRefusedError, socket.gaierror))
            if unreached and not direct and parts.scheme in self._proxies:
                raise OSError(f"proxyconnect: {error}") from error  # nobody else was asked
            raise
        with answer:
            yield answer

    def _opener(self, direct: bool) -> urllib.request.OpenerDirector:
        if not direct and any("socks" in each.partition(":")[0] for each in self._proxies.values()):
            raise ValueError("Python cannot use a SOCKS proxy; put the wheel of uv into a folder")
        try:
            trusted = ssl.create_default_context(cafile=self._certificates or None)
        except OSError as error:
            raise OSError(f"the certificate file {self._certificates}: {error}") from error
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({} if direct else self._proxies),
            urllib.request.HTTPSHandler(context=trusted),
        )


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxies of some variables, else those of the system."""
    told = {name.lower(): value for name, value in environ.items() if value}
    found = {
        scheme: told.get(f"{scheme}_proxy") or told.get("all_proxy", "")
        for scheme in ("http", "https", "no")
    }
    found["no"] = told.get("no_proxy", "")
    if not found["http"] and not found["https"]:
        return urllib.request.getproxies()
    return {scheme: value for scheme, value in found.items() if value}


def _from_json(entry: Mapping[str, Any], base: str) -> File:
    return File(
        entry["filename"],
        urllib.parse.urljoin(base, entry["url"]),
        entry.get("hashes", {}).get("sha256", ""),
        bool(entry.get("yanked")),
    )


class _Page(HTMLParser):
    """A page of links, as indexes without JSON have them."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.files: list[File] = []
        self._base = base

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a link."""
        told = dict(attrs)
        if tag == "a" and told.get("href"):
            url, _, fragment = urllib.parse.urljoin(self._base, told["href"] or "").partition("#")
            name = urllib.parse.unquote(url.rpartition("/")[2])
            kind, _, digest = fragment.partition("=")
            sha256 = digest if kind == "sha256" else ""
            self.files.append(File(name, url, sha256, "data-yanked" in told))
