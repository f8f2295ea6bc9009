"""The doctor finds what is there and what is not, and never falls ill itself."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from geoseg import doctor


def test_a_sound_installation_is_found_sound() -> None:
    facts = doctor.examine()
    assert facts["ok"], facts["problems"]
    assert facts["versions"]["torch"] == version("torch")
    assert facts["drivers"]["COG"]
    assert facts["drivers"]["GPKG"]
    assert facts["devices"][0]["name"] == "cpu"
    assert json.loads(json.dumps(facts)) == facts
    words = doctor.describe(facts)
    assert "All is well." in words
    assert version("torch") in words


def test_a_missing_package_is_a_finding_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no_such_package"))
    facts = doctor.examine()
    assert not facts["ok"]
    (problem,) = facts["problems"]
    assert problem["what"].startswith("no_such_package cannot be imported (ModuleNotFoundError")
    assert problem["remedy"] == "pip install --upgrade --force-reinstall no_such_package"
    assert "no_such_package MISSING" in doctor.describe(facts)


def test_a_broken_library_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libgdal.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "_drivers", broken)
    facts = doctor.examine()
    assert not facts["ok"]
    assert "drivers cannot be looked at (OSError: libgdal.so" in facts["problems"][0]["what"]
    assert "Problems:" in doctor.describe(facts)


def test_a_driver_that_the_main_job_needs_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = doctor._drivers() | {"COG": False}
    monkeypatch.setattr(doctor, "_drivers", lambda: there)
    facts = doctor.examine()
    assert [problem["what"] for problem in facts["problems"]] == ["GDAL has no driver COG"]


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_disk", lambda: {"folder": "/small", "free": 10**8})
    (problem,) = doctor.examine()["problems"]
    assert problem["what"] == "/small has 0.1 GB free"
    assert "TMPDIR" in problem["remedy"]
