"""The doctor finds what is there and what is not, and never falls ill itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import geoseg
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


def test_an_isolated_interpreter_is_examined_whatever_surrounds_it(tmp_path: Path) -> None:
    """As a program with a Python of its own starts it: nothing of that one may be found first."""
    (tmp_path / "numpy.py").write_text("raise ImportError('of another Python')")
    root = Path(geoseg.__file__).parents[1]
    start = f"import sys; sys.path.insert(0, {str(root)!r}); import geoseg.cli; geoseg.cli.main()"
    done = subprocess.run(
        [sys.executable, "-I", "-u", "-X", "utf8", "-c", start, "doctor", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "none")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["ok"], facts["problems"]) == (0, True, [])
    assert (facts["geoseg"], facts["executable"]) == (geoseg.__version__, sys.executable)
    assert facts["devices"][0]["name"] == "cpu"
    assert set(facts["models"]) == set(geoseg.shipped_models())
