# SPDX-License-Identifier: GPL-2.0-or-later
"""The zip of the plugin: what the plugin repository refuses is found before it is sent."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Callable

import pytest

import package

LICENCE = b"GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n"
FIRST = "# SPDX-License-Identifier: GPL-2.0-or-later\n"
METADATA = """[general]
name=Maps
description=Makes maps
about=External dependency: an engine.
version=1.2.0
qgisMinimumVersion=3.22
qgisMaximumVersion=4.99
author=The makers
email=makers@example.org
homepage=https://example.org/maps
tracker=https://example.org/maps/issues
repository=https://example.org/maps/source
icon=icons/maps.svg
hasProcessingProvider=yes
experimental=False
changelog=1.2.0
    - First.
"""
MODULE = f"{FIRST}def classFactory(iface):\n    from .work import run\n    return run\n"
PAGE = '<html><h1 id="top">Maps</h1><a href="#top">up</a><img src="p.png" alt="A map"></html>'
GOOD = {
    "maps/LICENSE": LICENCE,
    "maps/__init__.py": MODULE.encode(),
    "maps/help/index.html": PAGE.encode(),
    "maps/help/p.png": package.PNG,
    "maps/icons/maps.svg": b"<svg/>",
    "maps/metadata.txt": METADATA.encode(),
    "maps/work.py": f"{FIRST}import json\n\nimport qgis.core\n\nrun = json\n".encode(),
}

needs_bandit = pytest.mark.skipif(
    importlib.util.find_spec("bandit") is None, reason="bandit is not installed"
)
needs_detect_secrets = pytest.mark.skipif(
    importlib.util.find_spec("detect_secrets") is None, reason="detect-secrets is not installed"
)


def zipped(path: Path, files: dict[str, bytes]) -> package.Package:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return package.read(path)


def entry_of(path: Path, entry: zipfile.ZipInfo) -> package.Package:
    """The good package with one more entry."""
    zipped(path, GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, b"")
    return package.read(path)


def with_metadata(key: str, value: str) -> dict[str, bytes]:
    old = next(line for line in METADATA.splitlines() if line.startswith(f"{key}="))
    return {**GOOD, "maps/metadata.txt": METADATA.replace(old, f"{key}={value}").encode()}


def with_code(code: str) -> dict[str, bytes]:
    return {**GOOD, "maps/work.py": f"{FIRST}{code}\nrun = 1\n".encode()}


def without(name: str) -> dict[str, bytes]:
    return {each: content for each, content in GOOD.items() if each != name}


@pytest.fixture
def check(tmp_path: Path) -> Callable[[dict[str, bytes]], list[str]]:
    """The findings of all checks but the scans, which take long."""

    def findings(files: dict[str, bytes]) -> list[str]:
        made = zipped(tmp_path / "made.zip", files)
        return [found for each in package.CHECKS for found in each(made)]

    return findings


def test_nothing_is_found_in_a_good_package(check: Callable[..., list[str]]) -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize("name", ["__init__.py", "metadata.txt", "LICENSE"])
def test_what_qgis_and_the_repository_look_for_must_be_there(
    name: str, check: Callable[..., list[str]]
) -> None:
    assert f"maps/{name} is missing" in check(without(f"maps/{name}"))


def test_a_second_top_folder_is_found(check: Callable[..., list[str]]) -> None:
    found = check({**GOOD, "tests/data.txt": b"1"})
    assert found == ["there must be one top folder, there are 2: maps, tests"]


@pytest.mark.parametrize(
    ("folder", "finding"),
    [
        ("my-maps", "the top folder 'my-maps' must be an identifier in ASCII"),
        ("2maps", "the top folder '2maps' must be an identifier in ASCII"),
        ("maps_Plugin", "the top folder 'maps_Plugin' must do without the word plugin"),
    ],
)
def test_a_top_folder_of_a_bad_name_is_found(
    folder: str, finding: str, check: Callable[..., list[str]]
) -> None:
    assert check({n.replace("maps/", f"{folder}/", 1): c for n, c in GOOD.items()}) == [finding]


@pytest.mark.parametrize("name", ["maps/../../x.txt", "maps/a..txt"])
def test_a_name_that_leads_out_of_the_folder_is_found(
    name: str, check: Callable[..., list[str]]
) -> None:
    assert f"{name}: a name must not lead out of the folder" in check({**GOOD, name: b""})


@pytest.mark.parametrize(
    "name",
    ["maps/.secrets.txt", "maps/.git/x.txt", "maps/__pycache__/x.txt", "maps/__MACOSX/x.txt"],
)
def test_hidden_files_and_caches_are_found(name: str, check: Callable[..., list[str]]) -> None:
    assert check({**GOOD, name: b""}) == [
        f"{name}: hidden files and caches do not belong into the zip"
    ]


def test_a_name_that_is_there_twice_is_found(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        made = entry_of(tmp_path / "made.zip", zipfile.ZipInfo("maps/work.py"))
    assert list(package.names(made)) == ["maps/work.py: is there twice"]


@pytest.mark.parametrize(
    ("mode", "finding"), [(0o100755, "must not be executable"), (0o120644, "must not be a link")]
)
def test_a_file_of_a_bad_mode_is_found(mode: int, finding: str, tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("maps/more.txt")
    entry.external_attr = mode << 16
    made = entry_of(tmp_path / "made.zip", entry)
    assert list(package.modes(made)) == [f"maps/more.txt: {finding}"]


@pytest.mark.parametrize(
    "name",
    ["a.exe", "a.dll", "a.so", "a.dylib", "a.bat", "a.sh", "a.ps1", "a.cmd", "a.DLL"],
)
def test_programs_are_found(name: str, check: Callable[..., list[str]]) -> None:
    ending = Path(name).suffix.lower()
    assert check({**GOOD, f"maps/{name}": b""}) == [
        f"maps/{name}: the repository refuses files that end in {ending}"
    ]


@pytest.mark.parametrize("name", ["work.pyc", "model.safetensors", "i18n/maps.ts", "noending"])
def test_files_of_an_unknown_kind_are_found(name: str, check: Callable[..., list[str]]) -> None:
    (found,) = check({**GOOD, f"maps/{name}": b""})
    assert found.startswith(f"maps/{name}: unknown kind of file")


@pytest.mark.parametrize(
    ("name", "content", "finding"),
    [
        ("maps/help/p.png", b"GIF89a", "is no PNG picture"),
        ("maps/notes.txt", b"\xff\xfe", "is not text in UTF-8"),
        ("maps/notes.txt", b"ab\0", "has bytes of 0, text has none"),
        (
            "maps/more.py",
            f"{FIRST}x = '{'a' * 500}'\n".encode(),
            "has a line of more than 500 characters",
        ),
    ],
)
def test_content_that_is_not_what_the_ending_says_is_found(
    name: str, content: bytes, finding: str, check: Callable[..., list[str]]
) -> None:
    assert check({**GOOD, name: content}) == [f"{name}: {finding}"]


def test_another_licence_is_found(check: Callable[..., list[str]]) -> None:
    assert check({**GOOD, "maps/LICENSE": b"Do what you want."}) == [
        "LICENSE is not the text of the GNU General Public License, version 2"
    ]


def test_a_module_that_does_not_name_its_licence_is_found(
    check: Callable[..., list[str]],
) -> None:
    assert check({**GOOD, "maps/more.py": b"x = 1\n"}) == [
        "maps/more.py: must begin with # SPDX-License-Identifier: GPL-2.0-or-later"
    ]


@pytest.mark.parametrize("key", package.REQUIRED)
def test_a_missing_key_of_the_metadata_is_found(key: str, check: Callable[..., list[str]]) -> None:
    text = METADATA.replace(f"\n{key}=", f"\nx{key}=")
    found = check({**GOOD, "maps/metadata.txt": text.encode()})
    assert f"metadata.txt: {key} is missing or empty" in found


@pytest.mark.parametrize("key", ["name", "author", "about"])
def test_an_empty_key_of_the_metadata_is_found(key: str, check: Callable[..., list[str]]) -> None:
    assert f"metadata.txt: {key} is missing or empty" in check(with_metadata(key, ""))


@pytest.mark.parametrize(
    ("key", "value", "finding"),
    [
        ("version", "1.2.0-beta", "version is '1.2.0-beta', expected numbers and dots"),
        ("version", "1", "version is '1', expected numbers and dots"),
        ("version", "1.3.0", "changelog has no line '1.3.0'"),
        ("qgisMinimumVersion", "3.x", "qgisMinimumVersion is '3.x', expected numbers"),
        ("qgisMinimumVersion", "3.4", "qgisMinimumVersion is 3.4, the plugin needs 3.22"),
        ("qgisMaximumVersion", "3.9", "qgisMinimumVersion 3.22 is above qgisMaximumVersion 3.9"),
        ("name", "Maps Plugin", "name 'Maps Plugin' must do without the word plugin"),
        ("author", "A/B", "author 'A/B' must have no slash"),
        ("email", "makers", "email 'makers' is no address"),
        ("about", "Makes maps.", "about must state the external dependencies"),
        ("tracker", "bugs", "tracker is 'bugs', expected an address of the web"),
        ("homepage", "file:///home", "homepage is 'file:///home', expected an address"),
        ("repository", "", "repository is '', expected an address of the web"),
        ("experimental", "maybe", "experimental is 'maybe', expected True or False"),
        ("icon", "icon.png", "icon names maps/icon.png, which is not in the zip"),
        ("description", "All 100 % of it", "cannot be read"),
    ],
)
def test_a_value_that_the_repository_refuses_is_found(
    key: str, value: str, finding: str, check: Callable[..., list[str]]
) -> None:
    assert any(
        each.startswith("metadata.txt") and finding in each
        for each in check(with_metadata(key, value))
    )


@pytest.mark.parametrize(
    ("text", "finding"),
    [(b"name=Maps", "no section headers"), (b"[other]\n", "general"), (b"\xff", "utf-8")],
)
def test_metadata_that_cannot_be_read_are_found(
    text: bytes, finding: str, check: Callable[..., list[str]]
) -> None:
    found = check({**GOOD, "maps/metadata.txt": text})
    assert any(each.startswith("metadata.txt cannot be read") and finding in each for each in found)


@pytest.mark.parametrize(
    "code",
    [
        "match 1:\n    case 1:\n        pass",
        "try:\n    pass\nexcept* ValueError:\n    pass",
        "def f(:\n    pass",
    ],
)
def test_syntax_that_python_3_9_does_not_know_is_found(
    code: str, check: Callable[..., list[str]]
) -> None:
    (found,) = check(with_code(code))
    assert found.startswith("maps/work.py:")
    assert "no Python 3.9" in found


def test_a_package_that_qgis_cannot_start_is_found(check: Callable[..., list[str]]) -> None:
    assert check({**GOOD, "maps/__init__.py": FIRST.encode()}) == [
        "maps/__init__.py: has no function classFactory"
    ]


@pytest.mark.parametrize(
    "code",
    [
        "import numpy",
        "def f():\n    import numpy.linalg",
        "from numpy import array",
        "import json, numpy",
        "import importlib\nimportlib.import_module('numpy')",
        "from importlib import import_module\nimport_module('numpy')",
        "__import__('numpy')",
        "if False:\n    import PyQt5.QtCore",
        "import osgeo",
        "import tomllib",
        "import distutils.version",
    ],
)
def test_an_import_that_not_every_qgis_can_do_is_found(
    code: str, check: Callable[..., list[str]]
) -> None:
    (found,) = check(with_code(code))
    assert "which not every Python of QGIS has" in found


def test_an_import_by_a_computed_name_is_found(check: Callable[..., list[str]]) -> None:
    (found,) = check(with_code("import importlib\nimportlib.import_module('num' + 'py')"))
    assert "imports a module by a name that is not written there" in found


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("from .gone import x", "imports maps/gone, which is not in the zip"),
        ("from . import gone", "imports maps/gone, which is not in the zip"),
        ("def f():\n    from .help.gone import x", "imports maps/help/gone"),
        ("from .. import gone", "imports from above the top folder"),
    ],
)
def test_a_relative_import_that_leads_nowhere_is_found(
    code: str, finding: str, check: Callable[..., list[str]]
) -> None:
    (found,) = check(with_code(code))
    assert finding in found


@pytest.mark.parametrize(
    "code",
    [
        "from . import classFactory",
        "from maps import work",
        "from .work import run",
        "from qgis.PyQt.QtCore import Qt",
        "from processing.gui.wrappers import WidgetWrapper",
        "import xml.etree.ElementTree",
        "__import__('json')",
    ],
)
def test_imports_of_the_plugin_itself_of_qgis_and_of_the_standard_library_are_fine(
    code: str, check: Callable[..., list[str]]
) -> None:
    assert check(with_code(code)) == []


@pytest.mark.parametrize(
    ("page", "finding"),
    [
        ('<a href="gone.html">', "the link gone.html leads nowhere"),
        ('<a href="#gone">', "maps/help/index.html has no place called gone"),
        ('<a href="../metadata.txt#x">', "maps/metadata.txt has no place called x"),
        ('<img src="gone.png" alt="A map">', "the link gone.png leads nowhere"),
        ('<img src="p.png">', "the picture p.png has no words for those who cannot see it"),
        ('<a href="http://example.org">', "the link http://example.org leads nowhere"),
        ('<a href="file:///x.html">', "the link file:///x.html leads nowhere"),
    ],
)
def test_a_broken_link_of_the_help_is_found(
    page: str, finding: str, check: Callable[..., list[str]]
) -> None:
    files = {**GOOD, "maps/help/index.html": page.encode()}
    assert check(files) == [f"maps/help/index.html: {finding}"]


def test_links_between_pages_and_into_the_web_are_fine(check: Callable[..., list[str]]) -> None:
    page = b'<a href="index.html#top">1</a> <a href="https://example.org">2</a>'
    assert check({**GOOD, "maps/help/more.html": page}) == []


def test_a_package_that_is_too_large_is_found(check: Callable[..., list[str]]) -> None:
    (found,) = check({**GOOD, "maps/large.txt": b"a" * 200_000})
    assert "it must have less than 200,000" in found


@needs_bandit
@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import subprocess\nsubprocess.run('ls', shell=True)", "B602"),
        ("exec('1')", "B102"),
        ("import ast\nx = eval('1')", "B307"),
        ("import pickle\nx = pickle.loads(b'')", "B301"),
        ("import tarfile\nx = tarfile.open('a').extractall()", "B202"),
        ("password = 'summer'", "B105"),
        ("import os\nos.chmod('a', 0o777)", "B103"),
    ],
)
def test_code_that_bandit_blocks_is_found(code: str, rule: str, tmp_path: Path) -> None:
    (found,) = package.bandit(zipped(tmp_path / "made.zip", with_code(code)))
    assert found.startswith("maps/work.py:")
    assert f"bandit {rule}" in found


@needs_bandit
def test_a_process_that_is_started_without_a_shell_is_no_finding_of_bandit(tmp_path: Path) -> None:
    code = "import subprocess\nsubprocess.run(['ls'])"
    assert list(package.bandit(zipped(tmp_path / "made.zip", with_code(code)))) == []


@needs_detect_secrets
def test_a_secret_is_found(tmp_path: Path) -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    made = zipped(tmp_path / "made.zip", with_code(f"where = '{key}'"))
    assert list(package.secrets(made)) == ["maps/work.py:2: detect-secrets: AWS Access Key"]


@needs_detect_secrets
def test_no_secret_is_found_in_a_good_package(tmp_path: Path) -> None:
    assert list(package.secrets(zipped(tmp_path / "made.zip", GOOD))) == []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder of the good plugin."""
    for name, content in GOOD.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "maps"


@pytest.fixture
def packing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command packs; no scanner is run over it."""
    monkeypatch.setattr(package, "SOURCE", source)
    monkeypatch.setattr(package, "DIST", tmp_path / "dist")
    monkeypatch.setattr(package, "SCANS", {})
    return source


def test_the_zip_has_the_files_of_the_folder(source: Path, tmp_path: Path) -> None:
    package.build(source, tmp_path / "made.zip")
    assert package.read(tmp_path / "made.zip").files == GOOD


def test_what_tools_leave_behind_is_not_packed(source: Path, tmp_path: Path) -> None:
    for name in ("__pycache__/a.py", ".mypy_cache/a.txt", "i18n/maps.ts", "work.pyc", ".x.py"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"1")
    package.build(source, tmp_path / "made.zip")
    assert package.read(tmp_path / "made.zip").files == GOOD


def test_equal_files_give_equal_bytes(source: Path, tmp_path: Path) -> None:
    package.build(source, tmp_path / "one.zip")
    first = source / "LICENSE"
    first.rename(source / "other")  # another order in the folder, date and mode
    (source / "LICENSE").write_bytes((source / "other").read_bytes())
    (source / "other").unlink()
    first.chmod(0o700)
    package.build(source, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.usefixtures("packing")
def test_the_command_writes_a_good_zip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "made.zip"
    assert package.main([str(out), "--strict"]) == 0
    assert "7 files" in capsys.readouterr().out
    assert package.read(out).files == GOOD


@pytest.mark.usefixtures("packing")
def test_the_zip_is_named_after_folder_and_version(tmp_path: Path) -> None:
    assert package.main([]) == 0
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["maps-1.2.0.zip"]


def test_the_command_tells_what_it_found_and_writes_nothing(
    packing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packing / "LICENSE").unlink()
    out = tmp_path / "made.zip"
    assert package.main([str(out)]) == 1
    told = capsys.readouterr()
    assert told.out == "maps/LICENSE is missing\n"
    assert told.err == "1 findings, no zip written\n"
    assert not out.exists()


@pytest.mark.usefixtures("packing")
def test_a_missing_scanner_is_told_and_refused_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "SCANS", {"no_such_scanner": package.bandit})
    out = str(tmp_path / "made.zip")
    assert package.main([out, "--strict"]) == 1
    assert capsys.readouterr().out == "no_such_scanner is not installed\n"
    assert package.main([out]) == 0
    assert "not checked: no_such_scanner is not installed" in capsys.readouterr().err


def test_nothing_is_found_in_this_plugin(tmp_path: Path) -> None:
    package.build(package.SOURCE, tmp_path / "made.zip")
    assert package.findings(package.read(tmp_path / "made.zip")) == []
