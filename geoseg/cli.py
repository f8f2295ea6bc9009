"""The commands. Each imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import click

import geoseg
from geoseg.addresses import ITEMS, STORAGES, bare, is_remote
from geoseg.attached import attach
from geoseg.classes import told_classes
from geoseg.console import Console, Stopped, stop_on_signals
from geoseg.errors import UserError
from geoseg.places import Place, make_folder, matching, place
from geoseg.progress import time_left

if TYPE_CHECKING:
    from geoseg.batch import SceneJob
    from geoseg.progress import Emit

__all__ = ["main"]

RASTER_ENDINGS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg")
ENDINGS = {"polygons": ".gpkg", "scores": ".tif", "confidence": ".tif"}  # of further outputs
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

Command = TypeVar("Command", bound=Callable[..., Any])


LEVEL = "geoseg.level"


def _choose_level(context: click.Context, parameter: click.Parameter, chosen: bool) -> None:
    if chosen:
        context.meta[LEVEL] = logging.DEBUG if parameter.name == "verbose" else logging.WARNING


def _levels() -> list[click.Parameter]:
    """How much is told; the same for all commands."""
    told = {"verbose": "Tell of every block.", "quiet": "Tell warnings and errors only."}
    return [
        click.Option(
            [f"-{name[0]}", f"--{name}"],
            is_flag=True,
            expose_value=False,
            callback=_choose_level,
            help=text,
        )
        for name, text in told.items()
    ]


class OneLine(click.Group):
    """Commands whose mistakes of usage are told like all others: in one line."""

    group_class = type

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Take a command, and let it be told how much to tell."""
        cmd.params += _levels()
        super().add_command(cmd, name)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command that the arguments name."""
        # Imports make hundreds of thousands of objects that stay; to look through them again and
        # again in search of garbage takes a tenth of a short command.
        gc.set_threshold(50_000, 50, 50)
        try:
            status = super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f"; see {context.command_path} --help" if context else ""
            as_json = "--progress=json" in sys.argv or {"--progress", "json"} <= set(sys.argv)
            with Console("json" if as_json else "none") as console:
                console.error(f"{error.format_message().rstrip('.')}{hint}", "user")
            sys.exit(2)
        except click.Abort:
            sys.exit(130)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(
    cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(geoseg.__version__, prog_name="geoseg")
@click.option(
    "--attached",
    is_flag=True,
    help="End, with all processes of the run, when standard input does: for programs that start "
    "geoseg.",
)
def main(attached: bool) -> None:
    """Georeferenced imagery in, class maps and polygons out."""
    if attached:
        try:
            attach()
        except UserError as error:
            raise click.ClickException(str(error)) from error


main.params += _levels()


def progress_option(command: Command) -> Command:
    """How progress is shown; the same for every command that takes a while."""
    return click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "json", "none"]),
        default="auto",
        show_default=True,
        help="A bar, one JSON object a line on standard output, or nothing.",
    )(command)


@contextmanager
def running(mode: str, stopped: str = "nothing was written") -> Iterator[Console]:
    """Run a command: mistakes end in one line and status 2, bugs in a traceback and status 1.

    Parameters
    ----------
    mode : str
        As for `Console`.
    stopped : str
        What to say when a signal stops it.
    """
    level = click.get_current_context().meta.get(LEVEL, logging.INFO)
    with Console(mode, level) as console, _ending(console, stopped):
        yield console


@contextmanager
def _ending(console: Console, stopped: str) -> Iterator[None]:
    def leave(status: int) -> NoReturn:
        console.error(f"stopped; {stopped}", "user")
        console.leave(status)

    try:
        with stop_on_signals(leave):
            yield
    except UserError as error:
        console.error(str(error), "user")
        sys.exit(2)
    except Stopped as signal:
        leave(signal.status)
    except BrokenPipeError:  # whoever read the output has seen enough; click ends quietly
        raise
    except Exception as error:
        console.error(f"{type(error).__name__}: {error}", "internal")
        traceback.print_exc()
        sys.exit(1)


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes, as in 4GB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn text into bytes."""
        text = str(value).strip().upper().removesuffix("B")
        number, unit = (text[:-1], text[-1]) if text and text[-1] in UNITS else (text, "")
        try:
            return int(float(number) * UNITS[unit])
        except ValueError:
            self.fail(f"{value!r} is no size; write e.g. 4GB or 500MB", param, ctx)


class Target(click.ParamType):  # type: ignore[type-arg]
    """A path, or an address of an object storage."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Turn text into the place."""
        try:
            return place(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


class NumberOr(click.ParamType):  # type: ignore[type-arg]
    """A number, or one of some words."""

    def __init__(self, kind: type[int] | type[float], *words: str) -> None:
        self.kind, self.words = kind, words
        self.name = "|".join(["N" if kind is int else "METRES", *words])

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | str:
        """Turn text into the number, and leave the words."""
        if value in self.words:
            return str(value)
        try:
            return self.kind(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {' or '.join(self.words)}", param, ctx)


class Factors(click.ParamType):  # type: ignore[type-arg]
    """Numbers separated by commas."""

    name = "A,B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Turn text into numbers."""
        try:
            return tuple(float(each) for each in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} must be numbers, as in 0.75,1,1.25", param, ctx)


def min_area_option(told: str) -> Callable[[Command], Command]:
    """Which regions are small; what becomes of them is told by each command."""
    return click.option(
        "--min-area", type=float, default=0.0, show_default=True, metavar="M2", help=told
    )


simplify_option = click.option(
    "--simplify",
    type=float,
    default=0.0,
    show_default=True,
    metavar="PX",
    help="Fewer vertices: boundaries may move this many pixels; areas and the border of the data "
    "stay.",
)


@main.command(options_metavar="[OPTIONS]")
@click.argument("paths", nargs=-1, required=True, metavar="SRC... DST")
@click.option(
    "--model",
    "-m",
    "models",
    required=True,
    multiple=True,
    help="Model file, or name of a shipped model; given again: their mean probability.",
)
@click.option("--polygons", type=Target(), help=".gpkg, .fgb, .parquet, .geojson")
@click.option("--scores", type=Target(), help="GeoTIFF of class probabilities.")
@click.option("--confidence", type=Target(), help="GeoTIFF of the highest probability.")
@click.option(
    "--blocks",
    type=Target(),
    metavar="PLACE",
    help="Folder or s3://... that keeps finished blocks.  [default: beside the map]",
)
@click.option("--window", type=int, help="Side of a window in pixels.  [default: by memory]")
@click.option("--halo", type=NumberOr(int, "auto"), default="auto", show_default=True)
@click.option("--blend", type=click.Choice(["crop", "hann", "mean"]), help="  [default: crop]")
@click.option("--stride", type=int, help="Pixels between blended windows.")
@click.option("--batch-size", type=NumberOr(int, "auto"), default="auto", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:0,cuda:1")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    help="auto: bf16 where it is faster and hardly a class changes.",
)
@click.option("--bands", help="Numbers or names, in the model's order: 4,3,2 or red,green,nir.")
@click.option("--gsd", type=NumberOr(float, "auto", "native"), default="auto", show_default=True)
@click.option(
    "--pixel-size",
    type=float,
    metavar="METRES",
    help="Side of the image's pixels, where it does not say it, as in 0.5.",
)
@click.option(
    "--views",
    type=click.Choice(["flips", "d4"]),
    help="Mean probability of mirrored windows, or of turned ones as well.",
)
@click.option(
    "--scales", type=Factors(), help="Mean probability of windows resized by 0.75,1,1.25, say."
)
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this box.")
@click.option("--bbox-crs", metavar="CRS", help="Coordinate system of the box.")
@click.option(
    "--assume-crs", metavar="CRS", help="Coordinate system of sources that do not say theirs."
)
@click.option(
    "--mask", metavar="FILE", help="Polygons: only the pixels in them; others have no data."
)
@min_area_option(
    "Regions of less square metres go to their neighbours, on the map and in polygons."
)
@simplify_option
@click.option("--memory", type=Size(), help="As in 4GB.  [default: half of what is free]")
@click.option("--stack", is_flag=True, help="The sources are bands of one scene.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Let the workers of a dask cluster compute: tcp://10.0.0.5:8786.",
)
@click.option("--wait", is_flag=True, help="Wait for another run that writes the same output.")
@click.option(
    "--on-read-error",
    type=click.Choice(["refuse", "nodata"]),
    default="refuse",
    show_default=True,
    help="A tile that cannot be read: refuse the scene, or give its pixels no data.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace outputs that exist; scenes that a batch has finished are left alone.",
)
@click.option("--restart", is_flag=True, help="Forget an interrupted run.")
@click.option("--co", multiple=True, metavar="KEY=VALUE", help="Creation option of the COG driver.")
@progress_option
def predict(paths: tuple[str, ...], stack: bool, progress: str, **options: Any) -> None:
    """Classify rasters: SRC is a file, several, a folder or a pattern; then DST is a folder."""
    with running(progress, "the same command goes on from here") as console:
        if len(paths) < 2:
            raise UserError(f"only {paths[0]} is given; name the source, then the map to write")
        *given, dst = paths
        models, arguments = options.pop("models"), _arguments(options)
        sources = _expand(given)
        if stack or (len(sources) == 1 and not _means_folder(given, dst)):
            _predict_one(console, sources if stack else sources[0], dst, models, arguments)
        else:
            _predict_all(console, sources, place(dst), models, arguments)


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the command line as arguments of `predict_file`."""
    bands = options.pop("bands")
    pairs = [each.partition("=") for each in options.pop("co")]
    for key, sign, _ in pairs:
        if not (key and sign):
            raise UserError(f"creation option {key!r} must look like KEY=VALUE")
    return {
        **{key: None if value == "auto" and key in ("halo", "batch_size") else value
           for key, value in options.items()},
        "bands": None if bands is None else [band.strip() for band in bands.split(",")],
        "co": {key: value for key, _, value in pairs},
    }  # fmt: skip


def _expand(given: Sequence[str]) -> list[str]:
    """Files of folders and patterns (for shells that expand none), in order, each once."""
    found: list[str] = []
    for each in given:
        if os.path.isdir(each):  # which, unlike `Path`, takes any name, however long
            files = sorted(p for p in Path(each).iterdir() if p.suffix.lower() in RASTER_ENDINGS)
            found += [str(p) for p in files]
            if not files:
                raise UserError(f"folder {each} holds no rasters ({', '.join(RASTER_ENDINGS)})")
        elif _is_pattern(each):
            names = _matching(each)
            found += names
            if not names:
                raise UserError(f"no file matches {each}; check the pattern and the folder")
        else:
            found.append(each)
    return list(dict.fromkeys(found))


def _matching(pattern: str) -> list[str]:
    if "://" in pattern:
        return matching(pattern)
    path = Path(pattern)
    try:
        files = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    except OSError as error:
        raise UserError(
            f"cannot look for {pattern} ({error.strerror}); check the pattern and the folder"
        ) from error
    return [str(each) for each in files]


def _is_pattern(word: str) -> bool:
    """Whether a word stands for several files; signed addresses hold question marks, too."""
    if word.partition("://")[0] in STORAGES and "*" in word:
        return True
    remote = "://" in word or word.startswith("/vsi")
    return not remote and any(sign in word for sign in "*?[") and not os.path.exists(word)


def _means_folder(given: Sequence[str], dst: str) -> bool:
    several = len(given) > 1 or os.path.isdir(given[0]) or _is_pattern(given[0])
    return several or dst.endswith(("/", "\\")) or os.path.isdir(dst)


def _predict_one(
    console: Console,
    src: str | list[str],
    dst: str,
    models: Sequence[str],
    arguments: dict[str, Any],
) -> None:
    result = geoseg.predict_file(src, dst, models, **arguments, on_progress=console.event)
    if result.was_there:
        console.message(f"{_listed(result.outputs)} were there already, made by this very call")
        return
    asked = result.blocks - result.empty
    if result.computed < asked:
        console.message(
            f"went on from an interrupted run: {asked - result.computed} of {asked} blocks were "
            "there"
        )
    told = f"wrote {_listed(result.outputs)} in {result.seconds:.1f} s"
    gone = f"; {result.unreadable}" if result.unreadable.pixels else ""
    console.message(f"{told}; of all threads: {result.spent}{gone}")


def _predict_all(
    console: Console,
    sources: Sequence[str],
    folder: Place,
    models: Sequence[str],
    arguments: dict[str, Any],
) -> None:
    """Scenes with models loaded once; those that fail are told at the end."""
    from geoseg.batch import SceneJob, predict_scenes, refuse_clashes
    from geoseg.crew import Spent
    from geoseg.job import Result, told_map
    from geoseg.polygons.making import Making
    from geoseg.raster.grid import parse_crs, refuse_no_size
    from geoseg.views import viewed

    # What cannot be meant is refused once, not often.
    Making(min_area=arguments["min_area"], simplify=arguments["simplify"])
    refuse_no_size(arguments["pixel_size"])
    if arguments["assume_crs"] is not None:
        parse_crs(arguments["assume_crs"])
    if arguments["mask"] is not None:
        from geoseg.shapes import read_mask  # it takes half a second

        read_mask(arguments["mask"])
    segmenter = geoseg.ensemble(models)
    viewed(segmenter, arguments["views"], arguments["scales"])
    jobs = [SceneJob(each, _targets(each, folder, arguments)) for each in sources]
    refuse_clashes(jobs)
    if isinstance(folder, Path) and folder.is_file():
        raise UserError(
            f"{folder} is a file, and several scenes need a folder for their maps; name one last"
        )
    make_folder(folder)
    tally = _Tally(console, len(jobs))
    failed: dict[str, Exception] = {}
    spent = Spent()
    options = {k: v for k, v in arguments.items() if k not in ("polygons", "scores", "confidence")}
    for job, outcome in predict_scenes(jobs, segmenter, models, options, tally.report):
        if isinstance(outcome, Exception):
            failed[job.source] = outcome
            _tell_failure(console, job.source, outcome)
        else:
            spent += outcome.spent
        tally.count(isinstance(outcome, Result) and outcome.was_there)
        # Accessors of xarray are cycles that hold the coordinates of a scene, and `main` lets
        # garbage wait for long. Only what is young is looked through: that takes milliseconds.
        gc.collect(1)
    kept = f"; {tally.there} of them were there already" if tally.there else ""
    seconds = tally.seconds
    console.message(
        f"{len(sources) - len(failed)} of {len(sources)} maps are in {folder}{kept}; it took "
        f"{seconds:.1f} s; of all threads: {spent}"
    )
    took = {"seconds": round(seconds, 3), "spent": spent.told}
    about = {"failed": len(failed), **took, **told_map(segmenter.card)}
    console.event({"event": "done", "outputs": {"folder": str(folder)}, **about})
    if failed:
        kind = _kind_of(failed.values())
        told = f"{len(failed)} of {len(sources)} scenes failed, as told above: {', '.join(failed)}"
        console.error(told, kind)
        sys.exit(2 if kind == "user" else 1)


def _targets(
    source: str, folder: Place, arguments: Mapping[str, Any]
) -> tuple[tuple[str, Place], ...]:
    """Outputs of one scene, named after it; a file option is an ending."""
    stem = _stem(source)
    targets = {"dst": folder / f"{stem}.tif"}
    for name, usual in ENDINGS.items():
        path: Place | None = arguments[name]
        if path is not None:
            if not re.fullmatch(r"\.\w+", str(path)):
                raise UserError(
                    f"in a batch every scene has {name} of its own, named after it; give the "
                    f"ending alone, --{name} {path.suffix or usual}, instead of {path}"
                )
            ending = path.name
            kind = f"_{name}" if ending.lower() in (".tif", ".tiff") else ""
            targets[name] = folder / f"{stem}{kind}{ending}"
    return tuple(targets.items())


def _stem(source: str) -> str:
    """What a scene is called: a file without its ending, an address without its signature too.

    What an address ends in may be a part of the name, as that of an item on a server.
    """
    path = Path(bare(source))
    is_ending = path.suffix.lower() in (*RASTER_ENDINGS, *ITEMS)
    return path.stem if is_ending or not is_remote(source) else path.name


class _Tally:
    """Tells how far a batch is."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        self._began, self.there = time.monotonic(), 0
        console.event({"event": "start", "total": total, "unit": "scene"})

    @property
    def seconds(self) -> float:
        """Since the begin."""
        return time.monotonic() - self._began

    def report(self, job: SceneJob) -> Emit:
        """Whoever is told of a scene that is begun."""
        self._console.scene = job.source
        unit = ""

        def report(event: dict[str, Any]) -> None:
            nonlocal unit
            unit = event.get("unit", unit)
            # Polygons come after the map and take a fraction of its time: its share is then whole.
            if event["event"] == "progress" and unit == "block":
                self._tell(event["done"] / event["total"], {**event, "scene": job.source})

        return report

    def count(self, was_there: bool) -> None:
        """One more scene is done, and whether there was nothing to do."""
        self._console.scene = ""
        self._done, self.there = self._done + 1, self.there + was_there
        self._tell(0.0, {"event": "progress", "unit": "scene"})

    def _tell(self, share: float, event: dict[str, Any]) -> None:
        done = round(self._done + share, 3)
        left = time_left(self.seconds, done - self.there, self._total - done)
        self._console.event({**event, "done": done, "total": self._total, "eta_s": left})


def _tell_failure(console: Console, source: str, error: Exception) -> None:
    kind = _kind_of([error])
    reason = str(error) if kind == "user" else f"{type(error).__name__}: {error}"
    console.error(f"{source} failed: {reason}", kind, scene=source)


def _kind_of(errors: Iterable[Exception]) -> str:
    """Whether the user can mend all of them."""
    return "user" if all(isinstance(error, UserError) for error in errors) else "internal"


def _listed(outputs: Mapping[str, Place]) -> str:
    return ", ".join(str(path) for path in outputs.values())


@main.command()
@click.argument("classmap")
@click.argument("dst", type=click.Path(path_type=Path), required=False)
@click.option(
    "--connectivity",
    type=click.Choice(["4", "8"]),
    default="4",
    show_default=True,
    help="Whether pixels that touch at a corner only are one region (8).",
)
@min_area_option(
    "Regions of less square metres go to their neighbours; what touches only no data stays."
)
@click.option(
    "--sieve",
    type=click.Path(path_type=Path),
    help="Write the map without these small regions as well, to this .tif.",
)
@simplify_option
@click.option("--classes", metavar="A,B", help="Only these, by name or value: water,forest")
@click.option("--with-nodata", is_flag=True, help="Polygons of pixels without data, too.")
@click.option(
    "--regularize",
    is_flag=True,
    help="Square corners, for buildings: name their --classes. Polygons fit together no more.",
)
@click.option(
    "--crs", help="Reproject the polygons; attributes stay the map's. (.geojson: WGS 84 always.)"
)
@click.option("--band", help="Number or name of the band that is the class map, if several.")
@click.option(
    "--confidence",
    type=click.Path(path_type=Path),
    help="Raster on the same grid to average by polygon.",
)
@click.option("--assume-crs", metavar="CRS", help="Coordinate system of a map that says none.")
@click.option("--summary", is_flag=True, help="Tell the area of each class; DST may be left out.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@progress_option
def polygonize(
    classmap: str, dst: Path | None, connectivity: str, summary: bool, progress: str, **options: Any
) -> None:
    """Make polygons of a class map: .gpkg, .fgb, .parquet or .geojson by the ending of DST."""
    joined: Literal[4, 8] = 8 if connectivity == "8" else 4
    classes = options.pop("classes")
    done: dict[str, Any] = {"event": "done", "outputs": {}}
    with running(progress) as console:
        if dst is None:
            _refuse_without_target(classmap, summary, {**options, "classes": classes})
        if dst is not None:
            geoseg.polygonize_file(
                classmap,
                dst,
                connectivity=joined,
                classes=None if classes is None else [each for each in classes.split(",") if each],
                on_progress=lambda event: (
                    done.update(event) if event["event"] == "done" else console.event(event)
                ),
                **options,
            )
            console.message(f"wrote {', '.join(done['outputs'].values())}")
        if summary:
            areas = geoseg.area_by_class(
                classmap,
                band=options["band"],
                min_area=options["min_area"],
                connectivity=joined,
                assume_crs=options["assume_crs"],
            )
            done |= _told_areas(areas, geoseg.class_table(classmap))
            console.result(_table_of(done["classes"], areas.attrs["unit"]))
        console.event(done)


def _refuse_without_target(classmap: str, summary: bool, options: Mapping[str, Any]) -> None:
    if not summary:
        raise UserError(
            f"only {classmap} is given; name the file to write, e.g. map.gpkg, or add --summary"
        )
    for name, value in options.items():
        if value and name not in ("band", "min_area", "assume_crs"):
            option = name.replace("_", "-")
            raise UserError(f"--{option} is about polygons; name the file to write, e.g. map.gpkg")


def _told_areas(areas: Any, known: Sequence[geoseg.ClassInfo]) -> dict[str, Any]:
    """The classes of a map as programs are told of them, each with what it takes."""
    classes = {each["value"]: each for each in told_classes(known, areas["class_id"].tolist())}
    rows = areas.to_dict("records")
    return {
        "classes": [{**classes[row["class_id"]], **row} for row in rows],
        "nodata": areas.attrs["nodata"],
    }


def _table_of(areas: Sequence[Mapping[str, Any]], unit: str) -> str:
    lines = [f"{'class':>6}  {'name':24} {'pixels':>15} {unit:>20} {'share':>8}"]
    lines += [
        f"{each['class_id']:>6}  {each['class_name'][:24]:24} {each['pixels']:>15,} "
        f"{each['area_m2']:>20,.1f} {each['share']:>8.2%}"
        for each in areas
    ]
    return "\n".join(lines)


@main.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def info(file: str, as_json: bool) -> None:
    """Tell where a raster lies, and of what, how and when a map was made.

    The latter by the tags of FILE and the FILE.json beside it.
    """
    from geoseg.info import describe, examine

    with running("none") as console:
        facts = examine(file)
        console.result(json.dumps(facts) if as_json else describe(facts))


@main.command()
@click.argument("predicted", type=click.Path(path_type=Path))
@click.argument("truth", type=click.Path(path_type=Path))
@click.option("--model", help="Take class names from this model.")
@click.option("--classes", type=click.Path(path_type=Path), help="JSON or YAML: value to name.")
@click.option("--scores", type=click.Path(path_type=Path), help="Of two classes: for the AUC.")
@click.option("--report", type=click.Path(path_type=Path), help="Folder for figures and JSON.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
@progress_option
def evaluate(
    predicted: Path,
    truth: Path,
    model: str | None,
    classes: Path | None,
    scores: Path | None,
    report: Path | None,
    overwrite: bool,
    progress: str,
) -> None:
    """Score a class map against a labelled raster of the same place."""
    from geoseg.evaluation import refuse_report

    with running(progress) as console:
        if model and classes:
            raise UserError("--model and --classes both name the classes; give one of them")
        if report is not None:
            refuse_report(report, overwrite)
        console.event({"event": "start", "total": 1, "unit": "map"})
        named = geoseg.load(model).card.classes if model else classes
        evaluation = geoseg.evaluate(predicted, truth, classes=named, scores=scores)
        if report is not None:
            evaluation.write_report(report, overwrite=overwrite)
        outputs = {} if report is None else {"report": str(report)}
        facts = evaluation.to_dict()
        console.event({"event": "done", "outputs": outputs, "miou": facts["mIoU"], **facts})
        console.result(evaluation.table())


@main.command()
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """List the recipes of `geoseg train`, or tell all about the one of a NAME.

    The NAME data tells how labelled rasters of your own are described in a YAML file.
    """
    from geoseg.recipes import describe, overview

    with running("none") as console:
        console.result(overview() if name is None else describe(name))


@main.command()
@click.argument("recipe")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder, or YAML: see geoseg recipes data.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Model file to write.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option(
    "--overwrite", is_flag=True, help="Replace a model that is there, once it is trained."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Folder for a page of curves, scores and samples.  [default: OUT-report]",
)
@click.option("--device", default="auto", show_default=True)
@progress_option
def train(
    recipe: str,
    data: Path,
    out: Path,
    settings: tuple[str, ...],
    resume: bool,
    overwrite: bool,
    report: Path | None,
    device: str,
    progress: str,
) -> None:
    """Train a model from labelled rasters, by one of the RECIPEs that `geoseg recipes` lists.

    `geoseg recipes RECIPE` tells its settings and the folder that it reads, `geoseg recipes data`
    how to describe rasters of your own.
    """
    from geoseg.recipes import train_files
    from geoseg.train.processes import leads

    with running(progress, "--resume goes on from the last checkpoint") as console:
        folder = report or out.with_name(f"{out.stem}-report")
        trained = train_files(
            recipe,
            data,
            out,
            settings,
            resume=resume,
            overwrite=overwrite,
            device=device,
            on_progress=console.event,
            report=folder,
        )
        if leads():
            outputs = {"model": str(out), "report": str(folder)}
            about = {
                "classes": told_classes(trained.card.classes),
                "scores": dict(trained.card.metrics),
            }
            console.event({"event": "done", "outputs": outputs, **about})
            console.message(f"wrote {out} and {folder / 'index.html'}")


@main.group()
def model() -> None:
    """What models are there and what they are."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="What a program needs to offer them.")
def model_list(as_json: bool) -> None:
    """List the models that come with geoseg."""
    with running("none") as console:
        paths = geoseg.shipped_models()
        cards = {name: geoseg.load(name).card for name in paths}
        if as_json:
            told = [_told_model(name, card, paths[name]) for name, card in cards.items()]
            console.result(json.dumps(told, allow_nan=False))
            return
        for name, card in cards.items():
            size = paths[name].stat().st_size / 1e6
            console.result(f"{name:24} {size:4.1f} MB  {card.description.split('. ')[0]}")


@model.command("info")
@click.argument("model", metavar="MODEL")
@click.option("--json", "as_json", is_flag=True, help="The card itself.")
@click.option("--brief", is_flag=True, help="With --json: what model list --json tells of each.")
def model_info(model: str, as_json: bool, brief: bool) -> None:
    """Tell what a model takes, gives and is good for."""
    from geoseg.card import card_to_json, describe
    from geoseg.segmenter import find_model

    with running("none") as console:
        if brief and not as_json:
            raise UserError("--brief is for programs, add --json; without both it is told in words")
        card = geoseg.load(model).card
        if brief:
            told = _told_model(card.name, card, Path(find_model(model)))
            console.result(json.dumps(told, allow_nan=False))
        else:
            console.result(card_to_json(card) if as_json else describe(card))


def _told_model(name: str, card: geoseg.Card, path: Path) -> dict[str, Any]:
    from geoseg.card import brief

    return {"name": name, "path": str(path.absolute()), **brief(card)}


@model.command("export")
@click.argument("model", metavar="MODEL")
@click.argument("dst", type=click.Path(path_type=Path))
def model_export(model: str, dst: Path) -> None:
    """Write a model for another runtime: .onnx or .pt2, with its card."""
    from geoseg.exchange import export_model

    with running("none") as console:
        export_model(geoseg.load(model), dst)
        console.message(f"wrote {dst}")


@model.command("maps")
@click.argument("model", metavar="CLASSIFIER")
@click.argument("dst", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as method=cam.")
def model_maps(model: str, dst: Path, settings: tuple[str, ...]) -> None:
    """Make a segmenter of a trained classifier of images: its class activation maps."""
    from geoseg.exchange import refuse_existing_model
    from geoseg.train.settings import as_pair
    from geoseg.train.weak import as_segmenter

    with running("none") as console:
        refuse_existing_model(dst)
        as_segmenter(geoseg.load(model), **dict(map(as_pair, settings))).save(dst)
        console.message(f"wrote {dst}")


@model.command("import")
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("dst", type=click.Path(path_type=Path))
@click.option("--card", required=True, type=click.Path(path_type=Path), help="Card as JSON.")
def model_import(weights: Path, dst: Path, card: Path) -> None:
    """Join plain .safetensors weights with a card into a model file."""
    from geoseg.exchange import import_weights, refuse_existing_model

    with running("none") as console:
        refuse_existing_model(dst)
        import_weights(weights, card).save(dst)
        console.message(f"wrote {dst}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool) -> None:
    """Look at versions, drivers, devices and what is missing."""
    from geoseg.doctor import describe, examine

    with running("none") as console:
        facts = examine()
        console.result(json.dumps(facts) if as_json else describe(facts))
    sys.exit(0 if facts["ok"] else 2)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default="geoseg-demo")
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo.")
@progress_option
def demo(folder: Path, overwrite: bool, progress: str) -> None:
    """Make a scene, classify it and draw the result into FOLDER."""
    from geoseg.demo import run

    with running(progress) as console:
        result = run(folder, overwrite=overwrite, on_progress=console.event)
        console.result(result.report())
