# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine inherits of QGIS, and what it must not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from geoseg_qgis.engine.process import clean_environment


@pytest.mark.parametrize(
    "name",
    [
        "PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GDAL_DRIVER_PATH", "LD_LIBRARY_PATH", "LD_PRELOAD",
        "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "QT_PLUGIN_PATH", "QGIS_PREFIX_PATH",
        "QGIS_PLUGINPATH", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONNOUSERSITE",
    ],
)  # fmt: skip
def test_what_leads_to_libraries_of_qgis_is_dropped(name: str) -> None:
    assert clean_environment({name: "/usr/share/somewhere", "LANG": "C"}, {}) == {"LANG": "C"}


def test_what_the_user_has_set_is_kept() -> None:
    mine = {
        "HOME": os.path.expanduser("~"),
        "PATH": os.pathsep.join(["/usr/local/bin", "/usr/bin"]),
        "HTTPS_PROXY": "http://me:word@proxy:3128",
        "SSL_CERT_FILE": "/etc/ssl/certs/company.pem",
        "REQUESTS_CA_BUNDLE": "/usr/local/share/ca-certificates/company.crt",
        "AWS_PROFILE": "mine",
        "GDAL_CACHEMAX": "512",
        "CUDA_VISIBLE_DEVICES": "",
        "LC_ALL": "de_DE.UTF-8",
    }
    assert clean_environment(mine, {}) == mine


def test_additions_are_taken_as_they_are() -> None:
    additions = {"HTTPS_PROXY": "http://new", "PYTHONIOENCODING": "latin-1"}
    found = clean_environment({"HTTPS_PROXY": "http://old", "LANG": "C"}, additions)
    assert found == {"LANG": "C", **additions}


def test_what_is_given_is_not_changed() -> None:
    given = {"PROJ_LIB": "/usr/share/proj", "LANG": "C"}
    clean_environment(given, {"LANG": "de"})
    assert given == {"PROJ_LIB": "/usr/share/proj", "LANG": "C"}


@pytest.mark.parametrize(
    ("named", "own"),
    [
        ({"OSGEO4W_ROOT": "/opt/OSGeo4W"}, "/opt/OSGeo4W/bin/curl-ca-bundle.crt"),
        ({"QGIS_PREFIX_PATH": "/opt/OSGeo4W/apps/qgis"}, "/opt/OSGeo4W/bin/curl-ca-bundle.crt"),
        (
            {"QGIS_PREFIX_PATH": "/Applications/QGIS-LTR.app/Contents/MacOS"},
            "/Applications/QGIS-LTR.app/Contents/Resources/certs/certs.pem",
        ),
        ({"QGIS_PREFIX_PATH": "/opt/qgis"}, "/opt/qgis/cert.pem"),
    ],
)
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"])
def test_certificates_of_qgis_are_dropped_and_those_of_the_user_kept(
    named: dict[str, str], own: str, variable: str
) -> None:
    assert variable not in clean_environment({**named, variable: own}, {})
    mine = "/etc/company/OSGeo4W.pem"
    assert clean_environment({**named, variable: mine}, {})[variable] == mine


def test_the_folder_of_the_python_that_runs_now_is_that_of_qgis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/Applications/QGIS.app/Contents/Frameworks")
    certificate = "/Applications/QGIS.app/Contents/Resources/cacert.pem"
    assert clean_environment({"SSL_CERT_FILE": certificate, "LANG": "C"}, {}) == {"LANG": "C"}


def test_programs_of_qgis_are_taken_out_of_the_search_path() -> None:
    found = clean_environment(
        {
            "OSGEO4W_ROOT": "/opt/OSGeo4W",
            "PATH": os.pathsep.join(["/opt/OSGeo4W/bin", "/usr/bin", "/opt/OSGeo4W-tools"]),
        },
        {},
    )
    assert found == {"PATH": os.pathsep.join(["/usr/bin", "/opt/OSGeo4W-tools"])}


@pytest.mark.parametrize("prefix", ["/", "/usr", "/usr/local"])
def test_a_folder_that_qgis_shares_with_the_system_is_not_its_own(prefix: str) -> None:
    certificate = "/usr/local/share/ca-certificates/company.crt"
    given = {"QGIS_PREFIX_PATH": prefix, "SSL_CERT_FILE": certificate}
    assert clean_environment(given, {}) == {"SSL_CERT_FILE": certificate}


@pytest.mark.parametrize("below", [".", "apps/qgis", ".."])
def test_the_files_of_the_user_are_not_those_of_a_qgis_built_at_home(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    mine = {"HOME": str(tmp_path), "SSL_CERT_FILE": str(tmp_path / "company.pem")}
    given = {**mine, "QGIS_PREFIX_PATH": os.path.normpath(tmp_path / below)}
    assert clean_environment(given, {}) == mine
