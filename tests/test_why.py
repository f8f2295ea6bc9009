"""Addresses, and what is told of rasters that cannot be opened or read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pointwise import random_pixels, write
from serving import serving

import geoseg
from geoseg.addresses import address_of, is_remote, virtual_of
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.raster import files
from geoseg.raster.why import may_pass, shown, why_not_opened, why_not_read

PARTS = "Range downloading not supported by this server!"
NO_DRIVER = "'a' not recognized as being in a supported file format."
NO_FILE = "'a' does not exist in the file system, and is not recognized as a supported dataset"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/vsis3/b/a.tif", "s3://b/a.tif"),
        ("/vsigs/b/a.tif", "gs://b/a.tif"),
        ("/vsiaz/b/a.tif", "az://b/a.tif"),
        ("/vsicurl/https://h/a.tif", "https://h/a.tif"),
        ("/vsicurl/ftp://h/a.tif", "ftp://h/a.tif"),
    ],
)
def test_what_gdal_calls_so_is_an_address(path: str, address: str) -> None:
    assert address_of(path) == address_of(address) == address
    assert virtual_of(address) == virtual_of(path) == path
    assert is_remote(path)
    assert is_remote(address)


@pytest.mark.parametrize(
    "path", ["a.tif", "/vsizip/a.zip/a.tif", "/vsicurl/file:///a.tif", "file:///a.tif", "C:\\a.tif"]
)
def test_what_is_no_address_is_left_as_it_is(path: str) -> None:
    assert address_of(path) == virtual_of(path) == path


@pytest.mark.parametrize(
    ("path", "said", "words"),
    [
        (
            "https://h/a.tif",
            "HTTP response code: 404",
            "the server has no such file; check the add",
        ),
        ("s3://b/a.tif", "HTTP response code: 403", "does not allow it; check the credentials"),
        ("s3://b/a.tif", "The specified key does not exist.", "no such file; check the address"),
        ("/vsis3/b/a.tif", "The specified bucket does not exist", "no such file; check the addr"),
        ("az://b/a.tif", "The specified blob does not exist", "no such file; check the address"),
        ("s3://b/a.tif", "NoSuchKey", "the server has no such file; check the address"),
        (
            "https://h/a.tif",
            "HTTP response code: 503",
            "the server fails or is too busy; try again",
        ),
        (
            "https://h/a.tif",
            "HTTP response code: 429",
            "the server fails or is too busy; try again",
        ),
        ("https://h/a.tif", "HTTP response code: 400", "refuses what it was asked; check the add"),
        ("https://h/a.tif", "CURL error: Could not resolve", "the server cannot be reached; check"),
        ("https://h/a.tif", NO_DRIVER, "what the server gives is no raster; check the address"),
        ("s3://b/a.gpkg", NO_DRIVER, "it holds shapes and no pixels; name a raster"),
        ("s3://b/a.gpkg", "HTTP response code: 404", "the server has no such file; check the addr"),
        ("s3://b/maps/", "HTTP response code: 404", "a folder of a storage.* s3://b/maps/map.tif"),
        ("/vsis3/b", "Filename should be", "a folder of a storage.* as in s3://b/map.tif"),
        (
            "s3://b/a.zip",
            NO_DRIVER,
            r"an archive; name .* as in /vsizip//vsis3/b/a\.zip/NAME\.tif ",
        ),
        ("https://h/a.tgz", NO_DRIVER, r"as in /vsitar//vsicurl/https://h/a\.tgz/NAME\.tif "),
        ("/vsizip//vsis3/b/a.zip/c.tif", NO_FILE, "no such file is found there; check the address"),
        ("https://h/a.tif", PARTS, r"gives no parts of files \(no range requests\); download the"),
        ("https://h/a.tif", "Bad block", "it cannot be read; check the address"),
    ],
)
def test_what_a_server_does_not_give_is_told_in_words(path: str, said: str, words: str) -> None:
    told = why_not_opened(f"{path}?sig=secret" if "https" in path else path, f"{said}")
    assert told.startswith(f"{path} cannot be opened: ")
    assert told.endswith(f" (GDAL says: {said.strip('. ')})")
    with pytest.raises(UserError, match=words):
        raise UserError(told)


def test_a_server_that_gives_no_parts_of_files_is_not_asked_again() -> None:
    assert not may_pass("https://h/a.tif", PARTS)


@pytest.mark.parametrize("said", ["The specified key does not exist.", "NoSuchBucket"])
def test_what_a_storage_does_not_have_is_not_asked_for_again(said: str) -> None:
    assert not may_pass("s3://b/a.tif", said)
    assert may_pass("s3://b/a.tif", "The AWS Access Key Id was not given in time")


@pytest.mark.parametrize(
    ("path", "said", "words"),
    [
        (__file__, "Read failed", "damaged or was cut short; copy it again, or map the rest"),
        ("a.tif", "Read failed", "the file is not there any more; put it back"),
        ("https://h/a.tif", "Read failed", "the network or the server failed, or .*; try again"),
        ("https://h/a.tif", "HTTP response code: 403", "the server does not allow it; check the "),
    ],
)
def test_pixels_that_cannot_be_read_are_told_in_words(path: str, said: str, words: str) -> None:
    with pytest.raises(
        UserError, match=rf"^cannot read {path}: .*{words}.* \(GDAL says: {said}\)$"
    ):
        raise UserError(why_not_read(path, said))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tif", b"", r"a\.tif is an empty file; copy or make it again$"),
        ("a.tif", b"no raster", r"a\.tif is not a raster .*of another kind.*; try gdalinfo"),
        ("a.tif", b"II*\0\xff\xff\x00\x10", r"a\.tif is not .*damaged or was cut short; copy it"),
        ("a.geojson", b"{}", r"a\.geojson is not .*it holds shapes and no pixels; name a raster"),
    ],
)
def test_files_that_are_no_rasters_are_told_in_words(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        geoseg.open_raster(tmp_path / name)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the folder of the test have a raster and another file in two kinds of archives."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in" / "sub"
    folder.mkdir(parents=True)
    write(folder / "a.tif", random_pixels((1, 4, 5)).astype(np.uint8))
    (folder / "words.txt").write_text("no raster")
    for kind in ("zip", "tar", "gztar"):
        shutil.make_archive("a", kind, "in")
    shutil.copy("a.tar.gz", "a.tgz")


@pytest.mark.usefixtures("packed")
@pytest.mark.parametrize("archive", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "/vsizip/a.zip"])
def test_how_a_raster_in_an_archive_is_named_is_told(archive: str) -> None:
    with pytest.raises(UserError, match=r"it is an archive; name a raster in it, as in ") as told:
        geoseg.open_raster(archive)
    (named,) = re.findall(r"as in (\S+)/NAME\.tif ", str(told.value))
    assert geoseg.open_raster(f"{named}/sub/a.tif").shape == (1, 4, 5)


@pytest.mark.usefixtures("packed")
@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/vsizip/a.zip/sub/none.tif", "the names of the archive and of the file in it"),
        ("/vsizip/none.zip/sub/a.tif", "the names of the archive and of the file in it"),
        ("/vsitar/a.tar.gz/none.tif", "the names of the archive and of the file in it"),
        ("/vsimem/none.tif", "the name"),
        ("file:///none/none.tif", "the name"),
    ],
)
def test_a_file_that_is_not_where_gdal_looks_is_told(path: str, names: str) -> None:
    with pytest.raises(UserError, match=rf"^there is no file {path}; check {names} \(GDAL says: "):
        geoseg.open_raster(path)


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tif").write_bytes(b"secret")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may read all
    with pytest.raises(UserError, match=r"a\.tif may not be read; ask its owner: chmod a\+r "):
        geoseg.open_raster(tmp_path / "a.tif")


def test_what_a_server_has_not_and_what_is_no_raster_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL says it in the words that are looked for."""
    monkeypatch.setattr(files, "PAUSES", ())
    (tmp_path / "page.tif").write_text("no raster")
    write(tmp_path / "a.tif", random_pixels((1, 4, 5)).astype(np.uint8))
    with serving(tmp_path) as address:
        assert geoseg.open_raster(f"{address}/a.tif").shape == (1, 4, 5)
        for name, words in (("b", "the server has no such file"), ("page", "is no raster; check")):
            told = CliRunner().invoke(main, ["info", f"{address}/{name}.tif?sig=secret"])
            assert told.exit_code == 2
            assert words in told.output
            assert "secret" not in told.output
            assert told.output.count("\n") == 1


@pytest.mark.parametrize("said", ["{}", "{}: HTTP error code: 404", "'{}' not recognized as"])
def test_a_signature_with_colons_commas_and_semicolons_is_hidden_whole(said: str) -> None:
    signed = "/vsicurl/https://a.example/x.tif?se=2026-01-01T00:00:00Z;sp=r,w&sig=SECRET"
    told = shown(said.format(signed), signed)
    assert told.startswith(
        ("/vsicurl/https://a.example/x.tif", "'/vsicurl/https://a.example/x.tif")
    )
    assert "SECRET" not in told
    assert "?" not in told
