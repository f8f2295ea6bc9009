# SPDX-License-Identifier: GPL-2.0-or-later
"""What QGIS knows of the network reaches other processes; what it does not know is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qgis.core import QgsApplication, QgsAuthMethodConfig, QgsSettings

from geoseg_qgis import settings
from geoseg_qgis.engine.environment import EngineMissing
from geoseg_qgis.engine.home import data_folder

PEM = "-----BEGIN CERTIFICATE-----\nof the company\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def clean(
    qgis_app: QgsApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Settings as after the installation of QGIS."""
    for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "GEOSEG_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path / "home"))
    QgsSettings().remove("proxy")
    QgsSettings().remove("geoseg")
    yield
    QgsSettings().remove("proxy")
    QgsSettings().remove("geoseg")


def _proxy(**told: Any) -> None:
    values = {"proxyEnabled": True, "proxyType": "HttpProxy", "proxyHost": "proxy.example", **told}
    for name, value in values.items():
        QgsSettings().setValue(f"proxy/{name}", value)


def test_the_chosen_python_is_kept_until_it_is_taken_back(tmp_path: Path) -> None:
    assert settings.python_setting() == ""
    with pytest.raises(EngineMissing, match="geoseg is not installed yet"):
        settings.engine_python()
    python = tmp_path / "python3"
    python.write_text("")
    settings.set_python_setting(str(python))
    assert QgsSettings().value("geoseg/python") == str(python)
    assert settings.engine_python() == str(python)
    settings.set_python_setting("")
    assert not QgsSettings().contains("geoseg/python")


def test_without_a_proxy_and_certificates_in_qgis_nothing_is_added() -> None:
    assert settings.network_environment() == {}


@pytest.mark.parametrize(
    "told",
    [
        {"proxyEnabled": False},
        {"proxyType": "DefaultProxy"},
        {"proxyType": "FtpCachingProxy"},
        {"proxyHost": ""},
    ],
)
def test_a_proxy_that_is_off_or_that_of_the_system_is_not_told(told: dict[str, Any]) -> None:
    _proxy(**told)
    assert settings.network_environment() == {}


def test_a_proxy_is_told_with_what_programs_read() -> None:
    _proxy(proxyPort="3128", proxyUser="jane doe", proxyPassword="p@ss/:%")
    told = settings.network_environment()
    address = "http://jane%20doe:p%40ss%2F%3A%25@proxy.example:3128"
    assert told == {
        "HTTP_PROXY": address,
        "HTTPS_PROXY": address,
        "NO_PROXY": "localhost,127.0.0.1,::1",
        "http_proxy": address,
        "https_proxy": address,
        "no_proxy": "localhost,127.0.0.1,::1",
    }


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ({}, "http://proxy.example"),
        ({"proxyType": "HttpCachingProxy", "proxyPort": 80}, "http://proxy.example:80"),
        ({"proxyType": "Socks5Proxy", "proxyPort": "1080"}, "socks5h://proxy.example:1080"),
        ({"proxyHost": "fd00::1", "proxyPort": "3128"}, "http://[fd00::1]:3128"),
    ],
)
def test_the_address_of_a_proxy_is_written_as_programs_expect_it(
    told: dict[str, Any], address: str
) -> None:
    _proxy(**told)
    assert settings.network_environment()["HTTPS_PROXY"] == address


@pytest.mark.parametrize(
    "excluded",
    [["http://inner.example/maps", "other.example:8080"], "http://inner.example|other.example"],
)
def test_excepted_addresses_become_hosts_beside_the_users_own(
    excluded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", ".own.example,localhost")
    _proxy(proxyExcludedUrls=excluded, noProxyUrls=["https://third.example"])
    assert settings.network_environment()["NO_PROXY"].split(",") == [
        "localhost",
        "127.0.0.1",
        "::1",
        "inner.example",
        "other.example",
        "third.example",
        ".own.example",
    ]


class Manager:
    """A store of secrets and certificates."""

    def __init__(self, imported: list[str]) -> None:
        self._imported = imported

    def isDisabled(self) -> bool:  # noqa: N802
        """Never."""
        return False

    def databaseCAs(self) -> list[str]:  # noqa: N802
        """Those of the user."""
        return self._imported

    def extraFileCAs(self) -> list[str]:  # noqa: N802
        """None."""
        return []

    def trustedCaCertsPemText(self) -> bytes:  # noqa: N802
        """All of them."""
        return PEM.encode()

    def loadAuthenticationConfig(  # noqa: N802
        self, name: str, into: QgsAuthMethodConfig, full: bool
    ) -> tuple[bool, QgsAuthMethodConfig]:
        """The one there is."""
        into.setConfig("username", "stored")
        into.setConfig("password", "s3cret")
        return name == "abc1234" and full, into


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    found = Manager([])
    monkeypatch.setattr(QgsApplication, "authManager", lambda: found)
    return found


def test_a_stored_secret_goes_before_a_written_one(manager: Manager) -> None:
    _proxy(authcfg="abc1234", proxyUser="written")
    assert settings.network_environment()["HTTP_PROXY"] == "http://stored:s3cret@proxy.example"
    _proxy(authcfg="missing", proxyUser="written")
    assert settings.network_environment()["HTTP_PROXY"] == "http://written:@proxy.example"


def test_imported_certificates_reach_every_program_with_the_users_own(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.pem"
    own.write_text("own")
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert settings.network_environment() == {}
    manager._imported.append("of the company")
    bundle = str(data_folder() / "certificates.pem")
    expected = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle)
    assert settings.network_environment() == expected
    assert Path(bundle).read_text() == PEM + "\nown"
    assert settings.network_environment() == expected
    assert [each.name for each in data_folder().iterdir()] == ["certificates.pem"]


def test_certificates_that_cannot_be_written_down_keep_nobody_from_working(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path / "file"))
    manager._imported.append("of the company")
    _proxy()
    assert settings.network_environment()["HTTPS_PROXY"] == "http://proxy.example"
    assert "SSL_CERT_FILE" not in settings.network_environment()


def test_the_real_store_of_certificates_answers() -> None:
    manager = QgsApplication.authManager()
    assert isinstance(bytes(manager.trustedCaCertsPemText()), bytes)
    assert list(manager.databaseCAs()) == []
