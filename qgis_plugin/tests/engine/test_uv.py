# SPDX-License-Identifier: GPL-2.0-or-later
"""Where uv comes from, and that nothing but uv does."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from answering import answering
from makers import script, uv_tag, wheel

from geoseg_qgis.engine import uv as module
from geoseg_qgis.engine.failures import InstallationFailed
from geoseg_qgis.engine.home import data_folder
from geoseg_qgis.engine.index import Index, Web
from geoseg_qgis.engine.process import Cancelled
from geoseg_qgis.engine.uv import Uv, obtain_uv

ANSWER = "#!/bin/sh\necho uv 1.2.3\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    return tmp_path / "home"


def _wheel(folder: Path, version: str, text: str = ANSWER, tag: str = "") -> Path:
    members = {f"uv-{version}.data/scripts/uv": text, "../../evil": "evil", "uv/uv": "evil"}
    return wheel(folder, f"uv-{version}", members, tag or f"py3-none-{uv_tag()}")


def _index(tmp_path: Path, *wheels: Path, sha256: str = "", yanked: tuple[str, ...] = ()) -> Index:
    """An index on disk, as pages."""
    page = tmp_path / "simple" / "uv"
    page.mkdir(parents=True)
    links = [
        f'<a href="{each.as_uri()}#sha256='
        f'{sha256 or hashlib.sha256(each.read_bytes()).hexdigest()}"'
        f"{' data-yanked' if each.name.split('-')[1] in yanked else ''}>x</a>"
        for each in wheels
    ]
    (page / "index.html").write_text("".join(links))
    return Index((tmp_path / "simple").as_uri())


class Pages(Web):
    """Serves the page of a folder for the folder, as servers do."""

    def opened(self, url: str, accept: str = "*/*", method: str = "GET"):  # type: ignore[no-untyped-def]
        """Open an address."""
        return super().opened(url + "index.html" if url.endswith("/") else url, accept, method)


def _obtain(index: Index, web: Web | None) -> str:
    return obtain_uv(index, web, lambda done, total: None, lambda: False)


def test_the_newest_wheel_for_this_system_is_taken_from_the_index(tmp_path: Path) -> None:
    wheels = [
        _wheel(tmp_path, "0.9.9"),
        _wheel(tmp_path, "0.10.0"),
        _wheel(tmp_path, "0.11.0"),
        _wheel(tmp_path, "0.12.0rc1"),
        _wheel(tmp_path, "0.99.0", tag="py3-none-win_ia64"),
    ]
    program = _obtain(_index(tmp_path, *wheels, yanked=("0.11.0",)), Pages({}))
    assert program == str(data_folder() / "tools" / "uv-0.10.0" / "uv")
    assert Path(program).read_text() == ANSWER
    assert os.access(program, os.X_OK)


def test_nothing_but_the_program_is_unpacked(tmp_path: Path) -> None:
    _obtain(_index(tmp_path, _wheel(tmp_path, "0.9.9")), Pages({}))
    files = [each for each in tmp_path.rglob("*") if each.is_file() and "simple" not in each.parts]
    assert {each.name for each in files} == {"uv", next(tmp_path.glob("*.whl")).name}


def test_a_uv_that_was_fetched_is_used_again_without_any_connection(tmp_path: Path) -> None:
    program = _obtain(_index(tmp_path, _wheel(tmp_path, "0.9.9")), Pages({}))
    assert _obtain(Index(), None) == program


def test_a_wheel_in_the_folder_of_wheels_is_enough(tmp_path: Path) -> None:
    _wheel(tmp_path / "wheels", "0.9.9")
    program = _obtain(Index(links=(str(tmp_path / "wheels"),)), None)
    assert Path(program).read_text() == ANSWER


def test_a_uv_in_the_path_is_used_unless_it_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    own = script(tmp_path / "uv", ANSWER)
    assert _obtain(Index(), None) == str(own)
    script(own, "#!/bin/sh\necho uv 0.1.2\n")
    with pytest.raises(InstallationFailed, match="no wheel of uv for this system; put the wheel"):
        _obtain(Index(), None)


def test_a_changed_wheel_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    index = _index(tmp_path, _wheel(tmp_path, "0.9.9"), sha256="0" * 64)
    with pytest.raises(InstallationFailed, match="a downloaded file is damaged") as caught:
        _obtain(index, Pages({}))
    assert caught.value.failure.kind == "file"
    assert [each for each in (data_folder() / "tools").rglob("*") if each.is_file()] == []


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://proxy.invalid:3128"])
def test_a_proxy_that_is_not_there_is_told_as_such(proxy: str) -> None:
    with pytest.raises(InstallationFailed, match="the proxy does not let the download") as caught:
        _obtain(Index("https://i.example/simple"), Web({"HTTPS_PROXY": proxy}))
    assert caught.value.failure.kind == "proxy"
    with pytest.raises(InstallationFailed, match="a server cannot be reached"):
        # Nobody asks the proxy for this one.
        _obtain(
            Index("https://127.0.0.1:9/simple"),
            Web({"HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1:9"}),
        )


def test_a_file_of_certificates_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    lacking = Web({}, str(tmp_path / "company.pem"))
    with pytest.raises(InstallationFailed, match="SSL_CERT_FILE") as caught:
        _obtain(Index("https://127.0.0.1:9/simple"), lacking)
    assert caught.value.failure.kind == "certificate"
    assert "company.pem" in caught.value.failure.log


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """Address of an index whose certificate nobody signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *made, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.handle_error = lambda *_told: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with answering(server) as port:
        yield f"https://localhost:{port}/simple"


def test_a_certificate_that_nobody_trusts_is_told_as_such(untrusted: str) -> None:
    with pytest.raises(InstallationFailed, match="the secure connection is not trusted") as caught:
        _obtain(Index(untrusted), Web({}))
    assert caught.value.failure.kind == "certificate"


def test_a_wheel_without_uv_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "uv-0.9.9", {"uv/uv": "x"}, f"py3-none-{uv_tag()}")
    with pytest.raises(InstallationFailed, match="a downloaded file is damaged"):
        _obtain(Index(links=(str(tmp_path / "wheels"),)), None)


def test_an_index_without_uv_for_this_system_is_told(tmp_path: Path) -> None:
    index = _index(tmp_path, _wheel(tmp_path, "0.9.9", tag="py3-none-win_ia64"))
    with pytest.raises(InstallationFailed, match="not made for this Python or this system"):
        _obtain(index, Pages({}))


def test_a_cancelled_download_leaves_nothing(tmp_path: Path) -> None:
    index = _index(tmp_path, _wheel(tmp_path, "0.9.9"))
    with pytest.raises(Cancelled):
        obtain_uv(index, Pages({}), lambda done, total: None, lambda: True)
    assert list((data_folder() / "tools").iterdir()) == []


@pytest.mark.parametrize(
    ("system", "machine", "libc", "tags", "fits"),
    [
        ("win32", "AMD64", "", "win_amd64", True),
        ("win32", "ARM64", "", "win_arm64", True),
        ("win32", "AMD64", "", "win_arm64", False),
        ("darwin", "arm64", "", "macosx_11_0_arm64", True),
        ("darwin", "x86_64", "", "macosx_10_12_x86_64", True),
        ("darwin", "x86_64", "", "macosx_11_0_arm64", False),
        ("linux", "x86_64", "glibc", "manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("linux", "x86_64", "glibc", "musllinux_1_1_x86_64", False),
        ("linux", "x86_64", "", "musllinux_1_1_x86_64", True),
        ("linux", "aarch64", "glibc", "manylinux_2_28_aarch64", True),
        ("linux", "x86_64", "glibc", "manylinux_2_17_i686.manylinux2014_i686", False),
    ],
)
def test_wheels_fit_their_systems(
    system: str,
    machine: str,
    libc: str,
    tags: str,
    fits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module.sys, "platform", system)
    monkeypatch.setattr(module.platform, "machine", lambda: machine)
    monkeypatch.setattr(module.platform, "libc_ver", lambda: (libc, ""))
    assert module._fits(tags) is fits


def test_uv_is_not_led_to_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIRTUAL_ENV", "UV_PYTHON", "UV_SYSTEM_PYTHON", "PYTHONPATH"):
        monkeypatch.setenv(name, "/elsewhere")
    program = script(tmp_path / "uv", "#!/bin/sh\nenv\necho said >&2\n")
    log: list[str] = []
    uv = Uv(str(program), Index("https://t0ken@i.example"), {"HTTPS_PROXY": "http://p:1"}, log)
    told = dict(line.split("=", 1) for line in uv.run(["a"], lambda: False).splitlines())
    assert "/elsewhere" not in json.dumps(told)
    assert told["UV_CACHE_DIR"] == str(data_folder() / "cache")
    assert told["UV_DEFAULT_INDEX"] == "https://t0ken@i.example"
    assert told["HTTPS_PROXY"] == "http://p:1"
    assert log[0] == "$ uv a"
    assert "said" in log
    assert "t0ken" not in "\n".join(log)


def test_a_uv_that_may_not_be_started_is_a_failure_with_a_remedy(tmp_path: Path) -> None:
    program = tmp_path / "uv"
    program.write_text("")
    with pytest.raises(InstallationFailed) as caught:
        Uv(str(program), Index(), {}, []).run([], lambda: False)
    assert caught.value.failure.kind == "permission"
