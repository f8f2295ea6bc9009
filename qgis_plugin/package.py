# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the zip of the QGIS plugin, and check it as the plugin repository does.

::

    python3 qgis_plugin/package.py                    # dist/geoseg_qgis-VERSION.zip
    python3 qgis_plugin/package.py OUT.zip --strict   # every check must have run

A zip is written only when nothing was found. The same files give the same bytes. Bandit and
detect-secrets, which decide at the repository as well, run when the Python that runs this has them;
``--strict`` refuses to go on without. Python 3.10 or newer and nothing else is needed.

What is checked is what the repository's validator and scanner refuse or flag (in the state of July
2026), and two promises of this plugin: it runs on the Python 3.9 that QGIS 3.22 brings, and it is
smaller than 200 kB.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

SOURCE = Path(__file__).resolve().parent / "geoseg_qgis"
DIST = SOURCE.parent.parent / "dist"
LIMIT = 200_000
"""Bytes of the zip. The repository takes 25 MB; this plugin has no reason to be large."""
KINDS = frozenset({".py", ".txt", ".md", ".svg", ".png", ".html", ".qm"})
"""Endings of the files that are packed, beside LICENSE."""
TEXTS = KINDS - {".png", ".qm"}
SUSPICIOUS = frozenset({".exe", ".dll", ".so", ".dylib", ".bat", ".sh", ".ps1", ".cmd"})
"""The scanner's rule FILE_SUSPICIOUS, which cannot be skipped."""
UNWANTED_FOLDERS = frozenset({"__pycache__", "__MACOSX"})
SPDX = b"# SPDX-License-Identifier: GPL-2.0-or-later\n"
PNG = b"\x89PNG\r\n\x1a\n"
OLDEST_PYTHON = (3, 9)
LONGEST_LINE = 500
"""Characters; the scanner takes longer lines for hidden code."""

REQUIRED = (
    "name",
    "description",
    "version",
    "qgisMinimumVersion",
    "author",
    "email",
    "about",
    "tracker",
    "repository",
    # What the repository does without, but users of this plugin do not.
    "qgisMaximumVersion",
    "homepage",
    "changelog",
    "icon",
    "hasProcessingProvider",
)
URLS = ("homepage", "tracker", "repository")
BOOLEANS = ("experimental", "deprecated", "server", "supportsQt6", "hasProcessingProvider")

YOUNG = "tomllib annotationlib compression"
"""Modules that Python 3.9 does not have."""
REMOVED = (
    "aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3 mailcap"
    " msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib"
)
"""Modules that later ones up to Python 3.13 lack; QGIS 4 may bring such a one."""
MODULES = (sys.stdlib_module_names - set(f"{YOUNG} {REMOVED}".split())) | {"qgis", "processing"}
"""What every QGIS from 3.22 to 4 has; processing is the part of it that runs the algorithms."""

BLOCKING = (
    "B102 B103 B105 B106 B107 B201 B202 B301 B302 B304 B305 B306 B307 B312 B321 B323 B401 B402 B412"
    " B413 B501 B502 B503 B505 B506 B507 B601 B602 B604 B605 B609 B610 B611 B612 B613 B615 B701"
)
"""Bandit's rules that the repository calls critical: they block an upload."""


@dataclass(frozen=True)
class Package:
    """A zip that was read.

    Parameters
    ----------
    size : int
        Bytes of the zip.
    entries : tuple of zipfile.ZipInfo
    files : dict of str to bytes
        Content by name within the zip.
    """

    size: int
    entries: tuple[zipfile.ZipInfo, ...]
    files: dict[str, bytes] = field(repr=False)

    @property
    def folder(self) -> str:
        """The first top folder."""
        return self.entries[0].filename.split("/")[0] if self.entries else ""

    def ending_in(self, ending: str) -> dict[str, str]:
        """Texts of the files of one kind, by name; what is no text is told of by `texts`."""
        return {
            name: content.decode("utf-8", errors="replace")
            for name, content in self.files.items()
            if name.endswith(ending)
        }

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """Syntax trees by name, of the files that Python 3.9 can parse."""
        trees = {name: _parsed(text) for name, text in self.ending_in(".py").items()}
        return {name: tree for name, tree in trees.items() if isinstance(tree, ast.Module)}


Check = Callable[[Package], Iterator[str]]


def read(path: Path) -> Package:
    """Read a zip.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Package
    """
    with zipfile.ZipFile(path) as archive:
        entries = tuple(archive.infolist())
        files = {entry.filename: archive.read(entry) for entry in entries if not entry.is_dir()}
    return Package(path.stat().st_size, entries, files)


def packed(source: Path) -> list[Path]:
    """The files of the plugin's folder that belong into the zip, in order.

    Parameters
    ----------
    source : Path

    Returns
    -------
    list of Path
        Relative to the folder.
    """
    inside = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
    kept = (path for path in inside if path.suffix in KINDS or path.name == "LICENSE")
    return sorted(path for path in kept if not any(map(_is_unwanted, path.parts)))


def build(source: Path, out: Path) -> None:
    """Write the zip: fixed order, dates and permissions, so that equal files give equal bytes.

    Parameters
    ----------
    source : Path
        The plugin's folder, whose name becomes the top folder.
    out : Path
    """
    with zipfile.ZipFile(out, "w") as archive:
        for path in packed(source):
            entry = zipfile.ZipInfo(f"{source.name}/{path.as_posix()}")
            entry.create_system = 3  # else the bytes would depend on the machine's system
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (source / path).read_bytes(), compresslevel=9)


def size(package: Package) -> Iterator[str]:
    """The zip is small."""
    if package.size >= LIMIT:
        yield f"the zip has {package.size:,} bytes, it must have less than {LIMIT:,}"


def layout(package: Package) -> Iterator[str]:
    """One top folder with a name that Python can import, and in it what QGIS looks for."""
    tops = sorted({entry.filename.split("/")[0] for entry in package.entries})
    if len(tops) != 1:
        yield f"there must be one top folder, there are {len(tops)}: {', '.join(tops)}"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]+", package.folder):
        yield f"the top folder {package.folder!r} must be an identifier in ASCII"
    if "plugin" in package.folder.lower():
        yield f"the top folder {package.folder!r} must do without the word plugin"
    for name in ("__init__.py", "metadata.txt", "LICENSE"):
        if f"{package.folder}/{name}" not in package.files:
            yield f"{package.folder}/{name} is missing"


def names(package: Package) -> Iterator[str]:
    """No name leads out of the folder, is hidden, occurs twice or belongs to a tool."""
    seen: set[str] = set()
    for entry in package.entries:
        name, parts = entry.filename, PurePosixPath(entry.filename).parts
        if ".." in name or name.startswith("/") or "\\" in name:
            yield f"{name}: a name must not lead out of the folder"
        if any(map(_is_unwanted, parts)):
            yield f"{name}: hidden files and caches do not belong into the zip"
        if name in seen:
            yield f"{name}: is there twice"
        seen.add(name)


def modes(package: Package) -> Iterator[str]:
    """No file can be executed, none is a link."""
    for entry in package.entries:
        mode = entry.external_attr >> 16
        if mode & 0o111 and not entry.is_dir():
            yield f"{entry.filename}: must not be executable"
        if mode & 0o170000 == 0o120000:
            yield f"{entry.filename}: must not be a link"


def kinds(package: Package) -> Iterator[str]:
    """Only files that someone can read, and pictures."""
    for name in package.files:
        path = PurePosixPath(name)
        if path.suffix.lower() in SUSPICIOUS:
            yield f"{name}: the repository refuses files that end in {path.suffix.lower()}"
        elif path.suffix not in KINDS and path.name != "LICENSE":
            yield f"{name}: unknown kind of file, expected {', '.join(sorted(KINDS))} or LICENSE"


def texts(package: Package) -> Iterator[str]:
    """What claims to be text is text, and a picture is a picture."""
    for name, content in package.files.items():
        path = PurePosixPath(name)
        if path.suffix == ".png" and not content.startswith(PNG):
            yield f"{name}: is no PNG picture"
        if path.suffix in TEXTS or path.name == "LICENSE":
            yield from _findings_of_text(name, content)


def _findings_of_text(name: str, content: bytes) -> Iterator[str]:
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        yield f"{name}: is not text in UTF-8"
        return
    if b"\0" in content:
        yield f"{name}: has bytes of 0, text has none"
    # metadata.txt is prose whose paragraphs cannot be broken.
    if name.endswith(".py") and any(len(line) > LONGEST_LINE for line in lines):
        yield f"{name}: has a line of more than {LONGEST_LINE} characters"


def licence(package: Package) -> Iterator[str]:
    """The GPL's text is there, and each module names it in its first line."""
    text = package.files.get(f"{package.folder}/LICENSE", b"")
    if text and not (b"GNU GENERAL PUBLIC LICENSE" in text and b"Version 2, June 1991" in text):
        yield "LICENSE is not the text of the GNU General Public License, version 2"
    for name, content in package.files.items():
        if name.endswith(".py") and not content.replace(b"\r\n", b"\n").startswith(SPDX):
            yield f"{name}: must begin with {SPDX.decode().strip()}"


def metadata(package: Package) -> Iterator[str]:
    """metadata.txt has the keys that are required, with values that the repository takes."""
    text = package.files.get(f"{package.folder}/metadata.txt")
    if text is None:
        return
    try:
        values = _general(text)
    except (configparser.Error, UnicodeDecodeError, KeyError) as error:
        yield f"metadata.txt cannot be read: {error}"
        return
    for key in REQUIRED:
        if not values.get(key, "").strip():
            yield f"metadata.txt: {key} is missing or empty"
    yield from _findings_of_versions(values)
    yield from _findings_of_values(values)
    icon = f"{package.folder}/{values.get('icon', '')}"
    if "icon" in values and icon not in package.files:
        yield f"metadata.txt: icon names {icon}, which is not in the zip"


def _findings_of_versions(values: dict[str, str]) -> Iterator[str]:
    for key in ("version", "qgisMinimumVersion", "qgisMaximumVersion"):
        if key in values and not re.fullmatch(r"\d+(\.\d+)+", values[key]):
            yield f"metadata.txt: {key} is {values[key]!r}, expected numbers and dots as in 1.2.0"
            return
    least, most = values.get("qgisMinimumVersion"), values.get("qgisMaximumVersion")
    if least and most and _numbers(least) > _numbers(most):
        yield f"metadata.txt: qgisMinimumVersion {least} is above qgisMaximumVersion {most}"
    if least and _numbers(least) < (3, 22):
        yield f"metadata.txt: qgisMinimumVersion is {least}, the plugin needs 3.22"
    version, changes = values.get("version", ""), values.get("changelog", "")
    if not re.search(rf"^\s*{re.escape(version)}\s*$", changes, flags=re.MULTILINE):
        yield f"metadata.txt: changelog has no line {version!r}"


def _findings_of_values(values: dict[str, str]) -> Iterator[str]:
    if "plugin" in values.get("name", "").lower():
        yield f"metadata.txt: name {values['name']!r} must do without the word plugin"
    if "/" in values.get("author", ""):
        yield f"metadata.txt: author {values['author']!r} must have no slash"
    if "email" in values and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", values["email"]):
        yield f"metadata.txt: email {values['email']!r} is no address"
    if "dependenc" not in values.get("about", "").lower():
        yield "metadata.txt: about must state the external dependencies"
    for key in URLS:
        url = urlparse(values.get(key, ""))
        if key in values and not (url.scheme in ("http", "https") and url.netloc):
            yield f"metadata.txt: {key} is {values[key]!r}, expected an address of the web"
    for key in BOOLEANS:
        if values.get(key, "no").lower() not in ("true", "false", "yes", "no", "1", "0"):
            yield f"metadata.txt: {key} is {values[key]!r}, expected True or False"


def syntax(package: Package) -> Iterator[str]:
    """Python 3.9 can parse every module, and QGIS finds the function that it calls."""
    for name, text in package.ending_in(".py").items():
        tree = _parsed(text)
        if isinstance(tree, SyntaxError):
            yield f"{name}:{tree.lineno}: no Python 3.9: {tree.msg}"
    first = package.modules.get(f"{package.folder}/__init__.py")
    if first and "classFactory" not in _defined(first):
        yield f"{package.folder}/__init__.py: has no function classFactory"


def imports(package: Package) -> Iterator[str]:
    """Modules are those of QGIS, of every Python from 3.9 on, and of the plugin itself.

    Imports within functions count as well. A relative one must lead to a file of the zip.
    """
    for name, tree in package.modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    yield from _findings_of_absolute(package, f"{name}:{node.lineno}", each.name)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield from _findings_of_absolute(
                    package, f"{name}:{node.lineno}", node.module or ""
                )
            elif isinstance(node, ast.ImportFrom):
                yield from _findings_of_relative(package, name, node)
            elif isinstance(node, ast.Call):
                yield from _findings_of_call(package, name, node)


def _findings_of_absolute(package: Package, place: str, module: str) -> Iterator[str]:
    top = module.split(".")[0]
    if top not in MODULES | {package.folder}:
        yield f"{place}: imports {module}, which not every Python of QGIS has"


def _findings_of_relative(package: Package, name: str, node: ast.ImportFrom) -> Iterator[str]:
    parts = PurePosixPath(name).parts
    if node.level >= len(parts):
        yield f"{name}:{node.lineno}: imports from above the top folder"
        return
    base = PurePosixPath(*parts[: len(parts) - node.level])
    target = base / (node.module or "").replace(".", "/")
    if _is_module(package, target) and node.module:
        return
    wanted = [target] if node.module else [base / each.name for each in node.names]
    own = package.modules.get(f"{base}/__init__.py")
    defined = _defined(own) if own and not node.module else set()
    for path in wanted:
        if not _is_module(package, path) and path.name not in defined:
            yield f"{name}:{node.lineno}: imports {path}, which is not in the zip"


def _findings_of_call(package: Package, name: str, node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    if called not in ("__import__", "import_module", "importlib.import_module") or not node.args:
        return
    place, first = f"{name}:{node.lineno}", node.args[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        yield f"{place}: imports a module by a name that is not written there"
    elif not first.value.startswith("."):
        yield from _findings_of_absolute(package, place, first.value)


def links(package: Package) -> Iterator[str]:
    """Links and pictures of the help lead to files and headings of the zip, or into the web."""
    pages = {name: _page(text) for name, text in package.ending_in(".html").items()}
    for name, page in pages.items():
        for link in page.links:
            url = urlparse(link)
            target = _resolved(name, url.path)
            if url.scheme in ("https", "mailto"):
                continue
            if url.scheme or target not in package.files:
                yield f"{name}: the link {link} leads nowhere"
            elif url.fragment and (target not in pages or url.fragment not in pages[target].ids):
                yield f"{name}: {target} has no place called {url.fragment}"
        for picture in page.without_words:
            yield f"{name}: the picture {picture} has no words for those who cannot see it"


def bandit(package: Package) -> Iterator[str]:
    """Bandit's rules that block an upload."""
    with tempfile.TemporaryDirectory() as folder:
        _unpack(package, Path(folder))
        report = _run_tool(folder, "bandit", "-r", ".", "-f", "json", "-q", "-t", _codes())
    for each in report["errors"]:
        yield f"bandit could not read {each['filename']}: {each['reason']}"
    for each in report["results"]:
        name = PurePosixPath(each["filename"])
        yield f"{name}:{each['line_number']}: bandit {each['test_id']}: {each['issue_text']}"


def secrets(package: Package) -> Iterator[str]:
    """What detect-secrets takes for a password, key or token."""
    with tempfile.TemporaryDirectory() as folder:
        _unpack(package, Path(folder))
        arguments = ("scan", "--all-files", "--exclude-files", r"metadata\.txt", ".")
        report = _run_tool(folder, "detect_secrets", *arguments)
    for name, found in report["results"].items():
        for each in found:
            yield f"{name}:{each['line_number']}: detect-secrets: {each['type']}"


CHECKS: tuple[Check, ...] = (
    size,
    layout,
    names,
    modes,
    kinds,
    texts,
    licence,
    metadata,
    syntax,
    imports,
    links,
)
SCANS: dict[str, Check] = {"bandit": bandit, "detect_secrets": secrets}
"""By the module of the tool that each needs."""


def missing_tools() -> list[str]:
    """Tools of `SCANS` that the Python that runs this has not."""
    return [module for module in SCANS if importlib.util.find_spec(module) is None]


def findings(package: Package) -> list[str]:
    """What all checks found whose tools are there.

    Parameters
    ----------
    package : Package

    Returns
    -------
    list of str
        A line each; empty when the repository would take the zip.
    """
    missing = missing_tools()
    scans = [check for module, check in SCANS.items() if module not in missing]
    return [found for check in (*CHECKS, *scans) for found in check(package)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, check and write the zip.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line by default.

    Returns
    -------
    int
        0, or 1 when something was found; then no zip is written.
    """
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.zip"
        build(SOURCE, draft)
        package = read(draft)
        found = findings(package)
        if options.strict:
            found += [f"{tool} is not installed" for tool in missing_tools()]
        for line in found:
            print(line)
        if found:
            print(f"{len(found)} findings, no zip written", file=sys.stderr)
            return 1
        content = draft.read_bytes()
    out = options.out or _default_out(package)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
    for tool in missing_tools():
        print(f"not checked: {tool} is not installed", file=sys.stderr)
    print(f"{out}: {len(package.files)} files, {package.size:,} bytes")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build and check the zip of the QGIS plugin.")
    parser.add_argument("out", nargs="?", type=Path, help="default: dist/geoseg_qgis-VERSION.zip")
    parser.add_argument("--strict", action="store_true", help="refuse when a tool is missing")
    return parser.parse_args(arguments)


def _default_out(package: Package) -> Path:
    version = _general(package.files[f"{package.folder}/metadata.txt"])["version"]
    return DIST / f"{package.folder}-{version}.zip"


def _is_unwanted(part: str) -> bool:
    return part.startswith(".") or part in UNWANTED_FOLDERS


def _parsed(text: str) -> ast.Module | SyntaxError:
    try:
        return ast.parse(text, feature_version=OLDEST_PYTHON)
    except SyntaxError as error:
        return error
    except ValueError as error:  # bytes of 0, on older Pythons
        return SyntaxError(str(error))


def _general(text: bytes) -> dict[str, str]:
    # With interpolation as the repository has it: a lone per cent sign is an error.
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text.decode("utf-8"))
    return dict(parser["general"].items())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _is_module(package: Package, path: PurePosixPath) -> bool:
    return f"{path}.py" in package.files or f"{path}/__init__.py" in package.files


def _defined(tree: ast.Module) -> set[str]:
    """Names that a module has once it was imported."""
    stored = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    made = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return stored | {node.name for node in tree.body if isinstance(node, made)}


class _Page(HTMLParser):
    """What a page of help leads to, and its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.without_words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.links += [values[key] for key in ("href", "src") if key in values]
        self.ids |= {values[key] for key in ("id", "name") if key in values}
        if tag == "img" and not values.get("alt", "").strip():
            self.without_words.append(values.get("src", ""))


def _page(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    return page


def _resolved(page: str, path: str) -> str:
    """A name in the zip, of a link as the page has it."""
    parts: list[str] = list(PurePosixPath(page).parent.parts)
    for part in PurePosixPath(path).parts:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return "/".join(parts) if path else page


def _codes() -> str:
    return ",".join(BLOCKING.split())


def _unpack(package: Package, folder: Path) -> None:
    for name, content in package.files.items():
        path = (folder / name).resolve()
        if folder.resolve() in path.parents:  # `names` tells of those that are not
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _run_tool(folder: str, module: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603  (a list, no shell)
    if not done.stdout.strip():
        raise RuntimeError(f"{module} said nothing: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


if __name__ == "__main__":
    sys.exit(main())
