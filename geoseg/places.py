"""Where results go and blocks are kept: paths, or addresses of an object storage.

An address, as ``s3://bucket/maps/map.tif``, is reached by fsspec, which is imported when there is
one. Objects appear whole or not at all, and there are no folders: what lies under a prefix is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from geoseg.addresses import STORAGES, WEB, address_of
from geoseg.errors import UserError

__all__ = [
    "Place",
    "RefusedError",
    "Remote",
    "UnreachableError",
    "followed",
    "gdal_settings",
    "make_folder",
    "matching",
    "names_in",
    "object_facts",
    "place",
    "refuse_long",
    "refusing",
    "scratch_of",
    "scratches",
    "shortened",
    "size_of",
    "telling",
]

LINKS = 40  # of symbolic links that are followed, as many as Linux does
PART = 2**24  # bytes that are uploaded at a time,
PARTS = 4  # and how many of these are held
BULK = 1000  # objects that S3 removes at once, and no more
REMOVERS = 16  # threads that remove them one by one elsewhere
HEADER = 2**16  # bytes read at a time of a file of which the header is wanted
LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs", "gcsfs", "adlfs", "azure")
REFUSALS = (  # errors of boto, which finds no credentials, and of GDAL, whose are not taken
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "CPLE_AWSAccessDeniedError",
    "CPLE_AWSInvalidCredentialsError",
    "CPLE_AWSSignatureDoesNotMatchError",
)
# Of S3 where a token has expired; when it is asked for a head alone, it says no more than 400.
EXPIRED = ("400", "ExpiredToken", "InvalidToken", "TokenRefreshRequired")


class UnreachableError(UserError, ConnectionError):
    """A storage or server that does not answer: nothing is known of what lies there."""


class RefusedError(UserError):
    """Credentials that are missing, or that a storage does not take: to ask again is in vain."""


@dataclass(frozen=True)
class Remote:
    """An address of an object storage, with what is needed of a `Path`.

    Parameters
    ----------
    address : str
        E.g. ``s3://bucket/maps/map.tif``.
    """

    address: str

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.address.rstrip('/')}/{name}")

    @property
    def protocol(self) -> str:
        """What comes before ``://``."""
        return self.address.partition("://")[0]

    @property
    def name(self) -> str:
        """What comes after the last slash."""
        return self.address.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Remote:
        """What comes before the last slash."""
        return Remote(self.address.rpartition("/")[0])

    def with_name(self, name: str) -> Remote:
        """Another name under the same prefix."""
        return self.parent / name

    def absolute(self) -> Remote:
        """Itself, for it holds everywhere."""
        return self

    def resolve(self) -> Remote:
        """Itself."""
        return self

    def mkdir(self, **_: object) -> None:
        """Nothing, for a prefix is there once something lies under it."""

    def is_dir(self) -> bool:
        """Whether nothing but a prefix can be meant."""
        return not self.name

    def exists(self) -> bool:
        """Whether there is an object."""
        return self._info() is not None

    def is_file(self) -> bool:
        """Whether there is an object."""
        return self.exists()

    def version(self) -> str | None:
        """What tells the object from another one of that name; None where there is none."""
        info = self._info()
        return None if info is None else _version(info)

    def size(self) -> int | None:
        """Bytes of the object; None where there is none."""
        info = self._info()
        return None if info is None else int(info["size"])

    def changed(self) -> datetime:
        """When the object was written, by the clock of the storage."""
        with telling(self):
            fs, key = _reached(self.address)
            when: datetime = fs.modified(key)
        return when

    def read_bytes(self) -> bytes:
        """All of the object.

        Raises
        ------
        FileNotFoundError
            When there is none.
        """
        with telling(self, missing=True):
            fs, key = _reached(self.address)
            return bytes(fs.cat_file(key))

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of the object, which is text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> None:
        """Put an object there, whatever was there before."""
        with telling(self):
            fs, key = _reached(self.address)
            fs.pipe_file(key, data)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """Put an object of text there."""
        self.write_bytes(text.encode(encoding))

    def create(self, data: bytes) -> bool:
        """Put an object there unless there is one; tells whether it did."""
        return self._put_if(data, mode="create")

    def replace(self, data: bytes, version: str) -> bool:
        """Put an object in place of that of a version; tells whether that was still there.

        Only S3 can, so elsewhere nothing is asked.
        """
        return self._put_if(data, **({"IfMatch": version} if self.can_replace else {}))

    @property
    def can_replace(self) -> bool:
        """Whether `replace` asks for the version."""
        return self.protocol == "s3"

    def _put_if(self, data: bytes, **condition: str) -> bool:
        with telling(self):
            fs, key = _reached(self.address)
            try:
                fs.pipe_file(key, data, **condition)
            except Exception as error:
                if not _is_conflict(error):
                    raise
                return False
        return True

    def put(self, path: Path) -> None:
        """Upload a file; parts of an upload that was stopped are dropped."""
        with telling(self):
            fs, key = _reached(self.address)
            if self.protocol != "s3":
                fs.put_file(str(path), key)
                return
            _drop_uploads(fs, key)
            upload = fs._put_file(str(path), key, chunksize=PART, max_concurrency=PARTS)
            # The thread that uploads would go on after an interrupt of this one.
            under_way = asyncio.run_coroutine_threadsafe(upload, fs.loop)
            try:
                while not futures.wait([under_way], 1).done:
                    pass  # a wait without end may miss an interrupt that comes as it begins
                under_way.result()
            except BaseException:
                under_way.cancel()
                raise

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The object as a file of which some is read at its beginning."""
        with telling(self, missing=True):
            fs, key = _reached(self.address)
            with fs.open(key, "rb", block_size=HEADER) as file:
                yield file

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        with telling(self, missing=missing_ok), _may_miss(missing_ok):
            fs, key = _reached(self.address)
            fs.rm_file(key)

    def empty(self, but: Sequence[str] = ()) -> None:
        """Remove what lies under the prefix: what is deeper first, and some names not at all.

        Raises
        ------
        UserError
            When something cannot be removed, which storages do not always say.
        """
        with telling(self):
            for deep in (True, False):
                self._remove([each for each in self.under() if ("/" in each) == deep], but)
            left = [each for each in self.under() if each not in but]
        if left:
            raise UserError(
                f"cannot remove {self / left[0]}; allow that to whoever runs this "
                "(s3:DeleteObject), or choose another place"
            )

    def under(self) -> list[str]:
        """Names of the objects under the prefix."""
        fs, key = _reached(self.address)
        return [each.removeprefix(f"{key}/") for each in fs.find(key)]

    def _remove(self, names: Sequence[str], but: Sequence[str]) -> None:
        fs, key = _reached(self.address)
        gone = [f"{key}/{name}" for name in names if name not in but]
        # Not by `fs.rm`, for which a name with brackets is a pattern, of other objects maybe.
        if self.protocol == "s3":
            for first in range(0, len(gone), BULK):
                _remove_at_once(fs, gone[first : first + BULK])
            return
        with futures.ThreadPoolExecutor(REMOVERS) as threads:
            list(threads.map(fs.rm_file, gone))

    def store(self) -> Any:
        """Zarr's store of what lies under the prefix."""
        from zarr.storage import FsspecStore

        with telling(self):
            _reached(self.address)  # tells of packages that are missing
            return FsspecStore.from_url(self.address, storage_options=_options(self.protocol))

    def _info(self) -> dict[str, Any] | None:
        with telling(self):
            fs, key = _reached(self.address)
            try:
                info: dict[str, Any] = fs.info(key)
            except FileNotFoundError:
                return None
        return info if info.get("type") == "file" else None


Place = Path | Remote
"""Where something is put."""


def names_in(folder: Place) -> list[str]:
    """What lies in a folder, or under a prefix; nothing where there is none."""
    if isinstance(folder, Remote):
        with telling(folder):
            return folder.under()
    try:
        return [each.name for each in folder.iterdir()]
    except FileNotFoundError:
        return []


def matching(pattern: str) -> list[str]:
    """Addresses of the objects that a pattern with ``*`` stands for, in order."""
    protocol = pattern.partition("://")[0]
    with telling(Remote(pattern)):
        fs, key = _reached(pattern)
        return [f"{protocol}://{each}" for each in sorted(fs.glob(key))]


def place(name: str | os.PathLike[str] | Remote) -> Place:
    """A path, or an address where it holds ``://``; of a symbolic link to a file its target.

    Raises
    ------
    UserError
        When nothing can be put there.
    """
    if isinstance(name, Remote):
        return name
    text = os.fspath(name)
    protocol, sign, rest = text.partition("://")
    if not sign or protocol == "file":
        return followed(Path(rest if sign else text))
    if protocol in WEB:
        raise UserError(
            f"nothing can be written to {text.partition('?')[0]}; name a file, or an object as in "
            "s3://bucket/map.tif"
        )
    return Remote(text)


def followed(path: Path) -> Path:
    """What a symbolic link means as an output: its target, whether that is there or not.

    A file is put in place by giving it the name, which would be that of the link else. Links to
    folders are left as they are.

    Raises
    ------
    UserError
        When links lead to each other, or the name is too long for any file.
    """
    refuse_long(path)
    target = path
    for _ in range(LINKS):
        if not target.is_symlink() or target.is_dir():
            return target
        target = target.parent / target.readlink()
    raise UserError(f"{path} is a symbolic link that leads back to itself; remove it: rm {path}")


def make_folder(folder: Place) -> None:
    """Make a folder, and those that it lies in, unless it is there.

    Raises
    ------
    UserError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {folder} ({error.strerror}); choose another"
        ) from error


def refuse_long(path: Path) -> None:
    """Refuse a path of which the system says that no file can have it.

    Raises
    ------
    UserError
    """
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(
                f"nothing can be written to {path} ({error.strerror}: most disks take names of up "
                "to 255 bytes); choose a shorter one"
            ) from error


def shortened(name: str, most: int) -> str:
    """The beginning of a name: whole characters, of so many bytes at most, which disks count."""
    return os.fsencode(name)[:most].decode(errors="ignore")


def size_of(target: Place) -> int | None:
    """Bytes of a file or object; None where there is none."""
    if isinstance(target, Remote):
        return target.size()
    return target.stat().st_size if target.is_file() else None


@contextmanager
def telling(target: Place, missing: bool = False) -> Iterator[None]:
    """Turn what a storage refuses or fails to do into one line; paths are left alone.

    Parameters
    ----------
    target : Path or Remote
    missing : bool
        Whether it is left to the caller that nothing is there.

    Raises
    ------
    UnreachableError
        When it does not answer.
    RefusedError
        When it wants other credentials.
    UserError
    """
    if isinstance(target, Path):
        yield
        return
    try:
        with refusing(target.address):
            yield
    except UserError:
        raise
    except FileNotFoundError as error:
        if missing:
            raise
        raise UserError(
            f"there is no place for {target} ({_said(error)}); make the bucket first, or check "
            "its name"
        ) from error
    except Exception as error:
        if not _is_of_storage(error):
            raise
        raise UnreachableError(
            f"the storage of {target} does not answer as it should ({_said(error)}); see whether "
            "it can be reached, and give the same command again"
        ) from error


@contextmanager
def refusing(address: str) -> Iterator[None]:
    """Turn what boto, a storage or GDAL says of credentials into one line.

    Raises
    ------
    RefusedError
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not _is_refusal(error):
            raise
        where = address_of(address).partition("?")[0]
        names = " (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile: AWS_PROFILE)"
        raise RefusedError(
            f"no access to {where} ({_said(error)}); check credentials"
            f"{names if where.startswith('s3://') else ''} and what they may do"
        ) from error


def _is_refusal(error: BaseException) -> bool:
    """Whether an error is about credentials, whichever library it comes from."""
    if isinstance(error, PermissionError) or _code(error) in EXPIRED:
        return True
    kinds = {type(each).__name__ for each in (error, error.__context__)}  # the latter of rasterio
    if "CPLE_AWSError" in kinds:  # anything that GDAL has no name for
        return any(each in str(error) for each in ("Access Key", "token"))
    return not kinds.isdisjoint(REFUSALS)


def _drop_uploads(fs: Any, key: str) -> None:
    """Forget parts of an object that a process uploaded which died; they cost."""
    bucket, name, _ = fs.split_path(key)
    try:
        begun = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=name).get("Uploads", [])
    except OSError:  # not everybody may ask, nor every server answer
        return
    for each in begun:
        if each["Key"] == name:
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId=each["UploadId"])


def _remove_at_once(fs: Any, keys: Sequence[str]) -> None:
    """Remove objects of one bucket of S3, which tells in its answer alone what it kept."""
    bucket, _, _ = fs.split_path(keys[0])
    names = [{"Key": fs.split_path(key)[1]} for key in keys]
    fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": names, "Quiet": True})


@contextmanager
def _may_miss(missing_ok: bool) -> Iterator[None]:
    with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])):
        yield


def _said(error: BaseException) -> str:
    said = (str(error).splitlines() or [""])[0]
    return said.partition("?")[0] or type(error).__name__


def _is_of_storage(error: BaseException) -> bool:
    """Whether an error is that of a network or a storage, and no bug."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | TimeoutError) or library in LIBRARIES


def _is_conflict(error: Exception) -> bool:
    """Whether a condition for writing did not hold."""
    conflicts = "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"
    return isinstance(error, FileExistsError) or _code(error) in conflicts


def _code(error: BaseException) -> str | None:
    """What S3 calls an error."""
    answer = getattr(error.__cause__ or error, "response", {})
    return answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None


def _version(info: dict[str, Any]) -> str:
    when = info.get("LastModified") or info.get("updated") or info.get("last_modified")
    return str(info.get("ETag") or info.get("etag") or when)


def _reached(address: str) -> tuple[Any, str]:
    """The file system of an address, and what it calls the object."""
    import fsspec

    protocol = address.partition("://")[0]
    try:
        fs, key = fsspec.url_to_fs(address, **_options(protocol))
    except ImportError as error:
        raise UserError(
            f"{address} needs a package that is not installed ({_said(error)}); for s3:// "
            "pip install 'geoseg[cloud]'"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{address} is no address that is known ({_said(error)}); write e.g. s3://bucket/map.tif"
        ) from error
    return fs, str(key)


def _options(protocol: str) -> dict[str, Any]:
    """What a file system must be told; what the environment tells it goes without saying."""
    options: dict[str, Any] = {"use_listings_cache": False}  # other processes write there, too
    if protocol == "s3":
        options["max_concurrency"] = 1  # or the size of each object is asked for before it is read
        if (endpoint := _endpoint()) is not None:
            options["endpoint_url"] = endpoint
        if _is_on("AWS_NO_SIGN_REQUEST"):
            options["anon"] = True
    return options


def _endpoint() -> str | None:
    """The server of S3 where it is not Amazon's: as boto names it, or as GDAL does."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if os.environ.get(name):
            return os.environ[name]
    host = os.environ.get("AWS_S3_ENDPOINT")
    if not host or "://" in host:
        return host or None
    is_secure = _is_on("AWS_HTTPS") or "AWS_HTTPS" not in os.environ
    return f"{'https' if is_secure else 'http'}://{host}"


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("YES", "TRUE", "ON", "1")


def gdal_settings() -> dict[str, Any]:
    """What GDAL must be told to read from the same storage.

    It keeps what it has read of objects for good, even of those that were replaced since, unless it
    is told not to. What the environment says in GDAL's own names is not touched.
    """
    settings: dict[str, Any] = {}
    if "CPL_VSIL_CURL_NON_CACHED" not in os.environ:
        settings["CPL_VSIL_CURL_NON_CACHED"] = "/vsis3/:/vsigs/:/vsiaz/:/vsicurl/"
    endpoint = _endpoint()
    if endpoint is None:
        return settings
    parts = urlsplit(endpoint)
    own = {
        "AWS_S3_ENDPOINT": f"{parts.netloc}{parts.path}".rstrip("/"),
        "AWS_HTTPS": "NO" if parts.scheme == "http" else "YES",
        "AWS_VIRTUAL_HOSTING": "FALSE",  # names of buckets are no hosts there, as a rule
    }
    return settings | {name: value for name, value in own.items() if name not in os.environ}


def object_facts(path: str) -> dict[str, Any]:
    """Size in bytes and entity tag of an object.

    Parameters
    ----------
    path : str
        As GDAL takes it.

    Returns
    -------
    dict
        ``size`` and ``etag``; empty for what is in no object storage, cannot be asked for, or needs
        a package that is not installed.

    Raises
    ------
    UnreachableError
        When the storage does not answer.
    """
    address = address_of(path)
    if address.partition("://")[0] not in STORAGES:
        return {}
    try:
        info = Remote(address)._info()
    except UnreachableError:
        raise
    except UserError:  # GDAL may have other credentials
        return {}
    return {} if info is None else {"size": int(info["size"]), "etag": _version(info).strip('"')}


def scratch_of(target: Remote) -> Path:
    """Where an output is made that goes to a storage: a folder of this machine, by its name."""
    digest = hashlib.sha256(target.address.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"geoseg-{shortened(target.name, 60)}-{digest}"


@contextmanager
def scratches(targets: Sequence[Place], owner: str) -> Iterator[None]:
    """Make the folders of `scratch_of`, or take them from a run that died, and remove them.

    Parameters
    ----------
    targets : sequence of Path or Remote
    owner : str
        How names in there end that this process made. Those of another are left to it: it may have
        taken the output over.
    """
    folders = [scratch_of(each) for each in targets if isinstance(each, Remote)]
    try:
        for folder in folders:
            _make_own(folder)
        yield
    finally:
        for folder in folders:
            for own in folder.glob(f"*{owner}"):
                shutil.rmtree(own, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _make_own(folder: Path) -> None:
    """Make a folder that others cannot look into, nor have made, where all may write."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write into {folder.parent} ({error.strerror}); name another folder for what "
            "is to be uploaded: TMPDIR"
        ) from error
    is_ours = not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
    if folder.is_symlink() or not is_ours:
        raise UserError(f"{folder} was made by somebody else; name another folder: TMPDIR")
