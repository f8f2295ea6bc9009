# SPDX-License-Identifier: GPL-2.0-or-later
"""What users of other plugins saw, and what it is told to be."""

from __future__ import annotations

import pytest

from geoseg_qgis.engine.environment import Report
from geoseg_qgis.engine.failures import Failure, classify, diagnostics, without_secrets

SEEN = {
    "proxy": [
        "OSError: Tunnel connection failed: 407 Proxy Authentication Required",
        "error: Request failed after 3 retries in 12.0s\n  cause: client error (Connect)\n"
        "  cause: tunnel error: failed to create underlying connection\n"
        "  cause: Connection refused (os error 111)",
        "<urlopen error unknown url type: socks5h>",
        "uv from https://i.example/simple: proxyconnect: <urlopen error [Errno 111] Connection "
        "refused>",
    ],
    "certificate": [
        "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed "
        "certificate in certificate chain (_ssl.c:1006)>",
        "error: Failed to fetch: `https://i.example/simple/`\n  cause: client error (Connect)\n"
        "  cause: invalid peer certificate: UnknownIssuer",
    ],
    "access": [
        "error: No solution found when resolving dependencies\n  cause: Because geoseg was not "
        "found in the package registry and you require geoseg>=0.1,<0.2, we can conclude that your "
        "requirements are unsatisfiable.\n\nhint: An index URL (http://i.example/simple) could "
        "not be queried due to a lack of valid authentication credentials (401 Unauthorized)",
        "error: No solution found when resolving dependencies\n  cause: Because geoseg was not "
        "found in the package registry\n\nhint: An index (http://i.example/simple) returned a "
        "403 Forbidden error. Check that the index URL is correct and the credentials are valid.",
        "uv from https://i.example/simple: HTTP Error 401: Unauthorized",
    ],
    "host": [
        "cause: Failed to fetch: https://i.example/torch/\n  cause: dns error\n"
        "  cause: failed to lookup address information: Name or service not known",
        "<urlopen error [Errno 111] Connection refused>",
        "cause: HTTP status client error (403 Forbidden) for url (https://i.example/uv/)",
        "cause: operation timed out",
    ],
    "disk": [
        "failed to write to file: No space left on device (os error 28)",
        "There is not enough space on the disk. (os error 112)",
        "OSError: [Errno 122] Disk quota exceeded",
    ],
    "version": [
        "error: No solution found when resolving dependencies\n  cause: Because there is no "
        "version of geoseg==9 and you require geoseg==9, we can conclude that your requirements "
        "are unsatisfiable.",
        "Because affine was not found in the provided package locations and all versions of "
        "geoseg depend on affine>=3.0, we can conclude that all versions of geoseg cannot be used.",
        "uv from https://i.example/simple: HTTP Error 404: Not Found",
    ],
    "python": [
        "Because torch==2.13.0 has no wheels with a matching Python ABI tag (e.g., `cp314`), we "
        "can conclude that your requirements are unsatisfiable: no solution found",
        "Because the current Python version (3.9.5) does not satisfy Python>=3.11 and geoseg "
        "depends on Python>=3.11, no solution found",
    ],
    "permission": [
        "PermissionError: [Errno 13] Permission denied: '/opt/geoseg'",
        "failed to create directory: Read-only file system (os error 30)",
        "error: Could not acquire lock\n  cause: Could not create temporary file\n  cause: "
        'Permission denied (os error 13) at path "/opt/geoseg/cache/.tmpiKClfi"',
    ],
    "antivirus": [
        "failed to rename file: Access is denied. (os error 5)",
        "The process cannot access the file because it is being used by another process. "
        "(os error 32)",
        "Operation did not complete successfully because the file contains a virus (os error 225)",
    ],
    "runtime": [
        "torch cannot be imported (OSError: [WinError 126] The specified module could not be "
        'found. Error loading "C:\\x\\torch\\lib\\c10.dll" or one of its dependencies.)',
        "OSError: [WinError 1114] A dynamic link library (DLL) initialization routine failed.",
    ],
    "file": [
        "Hash mismatch for `torch==2.13.0`",
        "the sha256 of uv-1.whl is not the one told",
        "error: Failed to download `geoseg==0.1.0`\n  cause: Failed to extract archive: "
        "geoseg-0.1.0-py3-none-any.whl\n  cause: Bad uncompressed size (got 00000a8e, expected "
        "0001869f) for file: geoseg/big.txt",
    ],
    "killed": ["exit status -9", "memory allocation of 1048576 bytes failed"],
    "other": ["error: something nobody has seen yet"],
}


@pytest.mark.parametrize(
    ("kind", "log"), [(kind, log) for kind, logs in SEEN.items() for log in logs]
)
def test_what_tools_print_is_told_by_its_cause(kind: str, log: str) -> None:
    failure = classify(log)
    assert failure.kind == kind
    assert failure.message
    assert "\n" not in failure.message + failure.remedy


def test_a_blocked_server_is_named_and_the_other_source_of_pytorch_is_offered() -> None:
    failure = classify(
        "cause: Failed to fetch: https://download.pytorch.org/whl/cpu/torch/\ncause: dns error"
    )
    assert failure.message == "a server cannot be reached (download.pytorch.org)"
    assert failure.remedy.startswith("take PyTorch from the package index instead")


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (SEEN["version"][0], "geoseg==9 is not in the package index or in the folder of wheels"),
        (SEEN["version"][1], "the folder of wheels lacks affine"),
        ("No solution found:\n Because geoseg was not\n    found in the package registry",
         "geoseg is not in the package index"),
        ("Because there are no versions of torch>=2.6,<3 and",
         "torch>=2.6,<3 is not in the package index or in the folder of wheels"),
        (SEEN["version"][2], "a package, or the version of it that is needed, is not in the "
         "package index or in the folder of wheels"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_is_named(log: str, message: str) -> None:
    assert classify(log).message == message


def test_an_unknown_failure_is_told_in_the_tools_own_words() -> None:
    assert "something nobody has seen" in classify("a\nerror: something nobody has seen\n").message


@pytest.mark.parametrize(
    "secret",
    [
        "https://jane:h@rd@index.example/simple",
        "https://hunter2hunter2@index.example/simple",
        "HTTPS_PROXY=http://jane:hunter2@proxy.example:3128",
        "Authorization: Basic amFuZTpodW50ZXIy",
        "UV_INDEX_PASSWORD=hunter2",
        '{"api_key": "hunter2"}',
        "https://files.example/a.whl?X-Amz-Signature=hunter2&x=1",
        "pypi-AgEIcHlwaS5vcmcCJGhunter2hunter2",
    ],
)
def test_secrets_are_struck_out(secret: str) -> None:
    text = without_secrets(f"before {secret} after")
    assert "hunter2" not in text
    assert "amFuZTpodW50ZXIy" not in text
    assert "rd@" not in text
    assert "***" in text
    assert text.startswith("before ")
    assert text.endswith(" after")


def test_harmless_text_is_left_alone() -> None:
    text = "Downloading torch (2.0MiB) from https://i.example/simple/torch/ for jane@example.org"
    assert without_secrets(text) == text


def test_diagnostics_hold_the_finding_and_the_log_but_no_secrets() -> None:
    failure = Failure("host", "a server cannot be reached", "check the connection")
    text = diagnostics(failure, ["$ uv pip install", "GET https://jane:hunter2@i.example/"])
    assert "kind: host" in text
    assert "remedy: check the connection" in text
    assert "GET https://***@i.example/" in text
    assert "hunter2" not in text


def test_diagnostics_of_a_report_hold_its_problems() -> None:
    report = Report("/e/bin/python", "0.1.0", "cpu", False, ("little disk; free some",), {"a": 1})
    text = diagnostics(report, "")
    assert "problems: ('little disk; free some',)" in text
    assert "facts: {'a': 1}" in text
