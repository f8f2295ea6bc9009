# SPDX-License-Identifier: GPL-2.0-or-later
"""What went wrong with an installation, told in words that help, and a report without secrets."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .words import translated as _tr

__all__ = ["Failure", "InstallationFailed", "classify", "diagnostics", "without_secrets"]


@dataclass(frozen=True)
class Failure:
    """Why an installation did not come about.

    Attributes
    ----------
    kind : str
        ``proxy``, ``certificate``, ``access``, ``host``, ``disk``, ``python``, ``version``,
        ``file``, ``permission``, ``antivirus``, ``runtime``, ``killed``, ``damaged``, ``busy`` or
        ``other``.
    message : str
        What was seen, in one line.
    remedy : str
        What the user can do.
    log : str
        What the tools printed, without secrets.
    """

    kind: str
    message: str
    remedy: str
    log: str = ""


class InstallationFailed(Exception):  # noqa: N818  (says what failed, as Cancelled does)
    """An installation did not come about, as `failure` tells; what was there before stays."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.message}; {failure.remedy}")
        self.failure = failure


@dataclass(frozen=True)
class _Symptom:
    kind: str
    pattern: str
    message: str
    remedy: str


def _symptoms() -> tuple[_Symptom, ...]:
    """What is looked for; the first that is found counts.

    So what is special stands before what is general: a proxy that refuses is also an unreachable
    host, and an antivirus program shows as a lack of permission.
    """
    return (
        _Symptom(
            "disk",
            r"no space left on device|not enough space on the disk|disk quota exceeded"
            r"|os error (?:28|112|122)\b|errno (?:28|122)\b|winerror 112\b",
            _tr("the disk is full"),
            _tr(
                "free some space, or let the environment variable GEOSEG_HOME name a folder on "
                "another disk, then install again: what is downloaded already is used"
            ),
        ),
        _Symptom(
            "proxy",
            r"\b407\b|proxy auth|tunnel error|tunnel connection failed|proxyconnect"
            r"|socks|unknown proxy|invalid proxy",
            _tr("the proxy does not let the download through"),
            _tr(
                "set address, user and password of the proxy in Settings > Options > Network of"
                " QGIS, then install again"
            ),
        ),
        _Symptom(
            "certificate",
            r"certificate|unknownissuer|self[- ]signed|tlsv1 alert|ssl:|\[ssl\]|tls handshake"
            r"|handshake failure",
            _tr(
                "the secure connection is not trusted: something between here and the package "
                "index looks into it"
            ),
            _tr(
                "ask the administrator for the certificate of the network and import it in "
                "Settings > Options > Authentication of QGIS, or let the environment variable "
                "SSL_CERT_FILE name it"
            ),
        ),
        _Symptom(
            "antivirus",
            r"contains a virus|os error (?:5|32|225)\b|winerror (?:5|32|225)\b"
            r"|being used by another process|operation not permitted by antivirus",
            _tr("another program, most likely the virus scanner, holds or blocks a file"),
            _tr(
                "allow the folder of geoseg in the virus scanner, close other QGIS windows, "
                "then install again"
            ),
        ),
        _Symptom(
            "runtime",
            r"winerror (?:126|127|1114)\b|vcruntime|msvcp140|c10\.dll",
            _tr("a library of Microsoft that PyTorch needs is missing or too old"),
            _tr(
                "install the Microsoft Visual C++ Redistributable (x64) of 2015-2022, start the"
                " computer again, then install again"
            ),
        ),
        _Symptom(
            "permission",
            r"permission denied|access is denied|read-only file system|errno (?:1|13|30)\b"
            r"|os error (?:1|13|30)\b|operation not permitted",
            _tr("the folder of geoseg may not be written to, or programs in it may not be started"),
            _tr(
                "let the environment variable GEOSEG_HOME name a folder that may, then start "
                "QGIS again"
            ),
        ),
        _Symptom(
            "python",
            r"no wheels with a matching python|requires python|does not satisfy python"
            r"|python (?:version|abi) tag|no interpreter found|abi tag|platform tag"
            r"|matching python implementation|current platform",
            _tr("a package is not made for this Python or this system"),
            _tr(
                "install with a 64-bit Python 3.11, 3.12 or 3.13, or choose an existing Python "
                "that has geoseg"
            ),
        ),
        # uv says as well that there is no solution.
        _Symptom(
            "access",
            r"\b401 unauthorized|http error 401|authentication credentials"
            r"|returned a 403 forbidden",
            _tr("the package index does not let this computer in"),
            _tr(
                "check address, user and password of the package index in the settings of pip, or "
                "in the environment variable UV_DEFAULT_INDEX; where the network blocks it, choose "
                "a folder of wheels or an existing Python that has geoseg"
            ),
        ),
        _Symptom(
            "version",
            r"no solution found|there is no version of|there are no versions of|not found in the"
            r"|no matching distribution|http error 404|status client error \(404",
            _tr(
                "a package, or the version of it that is needed, is not in the package index or"
                " in the folder of wheels"
            ),
            _tr(
                "check the address of the package index, or choose a folder of wheels that "
                "holds geoseg and everything it needs"
            ),
        ),
        _Symptom(
            "file",
            r"sha256|hash mismatch|bad crc|not a zip file|failed to (?:extract|unzip)|corrupt",
            _tr("a downloaded file is damaged"),
            _tr(
                "install again, with a new copy of it in a folder of wheels; if it happens again, "
                "something on the way changes downloads"
            ),
        ),
        _Symptom(
            "host",
            r"dns error|name or service not known|nodename nor servname|getaddrinfo|name resolution"
            r"|connection refused|connection reset|timed out|timeout|unreachable"
            r"|error sending request|http error (?:403|5\d\d)|status (?:client|server) error"
            r"|failed to fetch|urlopen error|connect error|remote end closed|incompleteread",
            _tr("a server cannot be reached"),
            _tr(
                "check the connection and install again; where the network blocks it, choose a "
                "folder of wheels or an existing Python that has geoseg"
            ),
        ),
        _Symptom(
            "killed",
            r"exit status -(?:9|15)\b|killed|out of memory|cannot allocate memory"
            r"|memory allocation",
            _tr("the installation was stopped from outside"),
            _tr("close other programs, then install again: what is downloaded already is used"),
        ),
    )


def classify(log: str) -> Failure:
    """Say what a failed tool's output means.

    Parameters
    ----------
    log : str
        What the tool printed, or the text of an exception.
    """
    text = without_secrets(log)
    for symptom in _symptoms():
        if re.search(symptom.pattern, text, re.IGNORECASE):
            where = (
                _server(text) if symptom.kind in ("access", "host", "certificate", "proxy") else ""
            )
            remedy = symptom.remedy
            if "download.pytorch.org" in where:
                instead = _tr("take PyTorch from the package index instead, or {}")
                remedy = instead.format(remedy)
            message = _lacking(text) if symptom.kind == "version" else ""
            return Failure(symptom.kind, (message or symptom.message) + where, remedy, text)
    return Failure(
        "other",
        _tr("the installation failed: {}").format(_last_error(text)),
        _tr("copy the diagnostics and report them, or choose an existing Python that has geoseg"),
        text,
    )


def _lacking(text: str) -> str:
    """Which package is missing and where, as far as uv says it; it wraps its lines."""
    text = " ".join(text.split())
    name = r"[\w.-]+(?:\[[\w,-]+\])?"
    found = re.search(f"({name}) was not found in the (provided)?", text)
    if found and found[2]:
        return _tr("the folder of wheels lacks {}").format(found[1])
    if found:
        return _tr("{} is not in the package index").format(found[1])
    found = re.search(rf"there (?:is|are) no versions? of ({name}[<>=!~\w.,*]*)", text)
    if found:
        told = _tr("{} is not in the package index or in the folder of wheels")
        return told.format(found[1].rstrip(".,"))
    return ""


def _server(text: str) -> str:
    """Which server the text speaks of, to be added to a message."""
    found = re.findall(r"https?://(?:\*\*\*@)?([\w.-]+)", text)
    return f" ({found[-1]})" if found else ""


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [_tr("it gave no reason")])[-1]


# Headers, and words with a value behind them as in ``token=abc`` and ``password: abc``.
_NAMED_SECRET = re.compile(
    r"(?i)(\bauthorization\s*[:=]\s*(?:\w+\s+)?"
    r"|\b[\w-]*(?:token|password|passwd|secret|api[_-]?key|signature|credential)[\w-]*"
    r"[\"']?\s*[:=]\s*[\"']?)[^\s&;,\"']+"
)
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s\"'<>]+@")
_INDEX_TOKEN = re.compile(r"\b(?:pypi-[\w-]{16,}|gh[pousr]_\w{16,}|glpat-[\w-]{16,})")


def without_secrets(text: str) -> str:
    """Replace users and passwords in addresses, tokens and passwords by ``***``."""
    text = _IN_ADDRESS.sub("***@", text)
    text = _NAMED_SECRET.sub(r"\1***", text)
    return _INDEX_TOKEN.sub("***", text)


def diagnostics(subject: object, log: str | Iterable[str]) -> str:
    """Make the text that *Copy diagnostics* puts on the clipboard.

    Parameters
    ----------
    subject : Failure, Report or Exception
        What is reported; anything with fields, or anything that can be printed.
    log : str or lines
        What the tools printed.
    """
    fields = getattr(subject, "__dataclass_fields__", {})
    told = [f"{name}: {getattr(subject, name)}" for name in fields if name != "log"]
    own = getattr(subject, "log", "")
    lines = log if isinstance(log, str) else "\n".join(log)
    text = "\n".join(
        [
            "geoseg for QGIS: diagnostics",
            f"system: {platform.platform()}, {platform.machine()}",
            f"Python of QGIS: {platform.python_version()}",
            *(told or [f"{type(subject).__name__}: {subject}"]),
            "",
            *([own] if own and own not in lines else []),
            lines,
        ]
    )
    return without_secrets(text).rstrip() + "\n"
