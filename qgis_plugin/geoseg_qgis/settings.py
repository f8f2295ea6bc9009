# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user set: in this plugin, and in QGIS for the network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from qgis.core import QgsApplication, QgsAuthMethodConfig, QgsMessageLog, QgsSettings

from .engine.environment import chosen_python
from .engine.home import data_folder, write_wholly

__all__ = ["engine_python", "network_environment", "python_setting", "set_python_setting"]

PYTHON = "geoseg/python"
SCHEMES = {"HttpProxy": "http", "HttpCachingProxy": "http", "Socks5Proxy": "socks5h"}
THIS_COMPUTER = ("localhost", "127.0.0.1", "::1")
# Who reads which: uv and Python, libraries of Python, GDAL.
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def python_setting() -> str:
    """Return the interpreter that the user chose, or an empty text."""
    return str(QgsSettings().value(PYTHON, "") or "")


def set_python_setting(path: str) -> None:
    """Keep the user's choice; an empty text takes it back."""
    if path:
        QgsSettings().setValue(PYTHON, path)
    else:
        QgsSettings().remove(PYTHON)


def engine_python() -> str:
    """Return the interpreter of the engine.

    Raises
    ------
    EngineMissing
        As `chosen_python`.
    """
    return chosen_python(python_setting())


def network_environment() -> dict[str, str]:
    """Return variables that tell another process of QGIS' proxy and certificates.

    Where QGIS has none of its own, nothing is added: the user's variables are inherited.
    """
    return {**_proxy_variables(), **_certificate_variables()}


def _proxy_variables() -> dict[str, str]:
    settings = QgsSettings()
    scheme = SCHEMES.get(_text(settings, "proxyType"))
    host = _text(settings, "proxyHost")
    if not settings.value("proxy/proxyEnabled", False, type=bool) or not scheme or not host:
        return {}
    port = _text(settings, "proxyPort")
    user, password = _credentials(settings)
    name = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    address = f"{scheme}://{name}{_bracketed(host)}{f':{port}' if port else ''}"
    bypassed = ",".join(_bypassed(settings))
    told = {"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": bypassed}
    # Programs differ in which they read, and the user may have set the other.
    return {**told, **{name.lower(): value for name, value in told.items()}}


def _text(settings: QgsSettings, name: str) -> str:
    return str(settings.value(f"proxy/{name}", "") or "").strip()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _credentials(settings: QgsSettings) -> tuple[str, str]:
    """User and password: of QGIS' store of secrets when one is chosen there, else as they are."""
    chosen = _text(settings, "authcfg")
    if chosen:
        found, secret = QgsApplication.authManager().loadAuthenticationConfig(
            chosen, QgsAuthMethodConfig(), True
        )
        if found:
            return secret.config("username"), secret.config("password")
    return _text(settings, "proxyUser"), str(settings.value("proxy/proxyPassword", "") or "")


def _bypassed(settings: QgsSettings) -> list[str]:
    """Hosts that are reached without the proxy."""
    listed = [
        *_listed(settings.value("proxy/proxyExcludedUrls")),
        *_listed(settings.value("proxy/noProxyUrls")),
    ]
    own = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    hosts = [*THIS_COMPUTER, *(_host(each) for each in listed), *own.split(",")]
    return list(dict.fromkeys(host.strip() for host in hosts if host.strip()))


def _listed(value: Any) -> Iterable[str]:
    """A list of texts, which the file of settings may hold as one text."""
    if not value:
        return []
    return value.split("|") if isinstance(value, str) else [str(each) for each in value]


def _host(address: str) -> str:
    """The host of an address, which may be written without a scheme."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    return parts.hostname or ""


def _certificate_variables() -> dict[str, str]:
    """A file of all authorities QGIS trusts, when the user imported some of his own."""
    manager = QgsApplication.authManager()
    if manager.isDisabled() or not (manager.databaseCAs() or manager.extraFileCAs()):
        return {}
    path = data_folder() / "certificates.pem"
    text = bytes(manager.trustedCaCertsPemText()).decode("ascii", "replace")
    try:
        own = os.environ.get("SSL_CERT_FILE", "")
        if os.path.isfile(own):
            text += "\n" + _read(Path(own))
        if not path.is_file() or _read(path) != text:
            write_wholly(path, text)
    except OSError as error:
        # An installation says the same of the folder; without one, hardly anything is downloaded.
        QgsMessageLog.logMessage(str(error), "geoseg")
        return {}
    return dict.fromkeys(CERTIFICATE_VARIABLES, str(path))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
