"""`cineaffect highlights`: the stretches of a film with the strongest peaks and turns, for programs that cut."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import at_least_one, comma_separated, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK

if TYPE_CHECKING:
    from beam_pipelines.report.markers.highlights import Highlight
    from beam_pipelines.report.scoring.sheets import FilmSheet

_FOLDER = "highlights"
_WITHOUT_INDEX = (".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob")
_INEXACT = "FFmpeg may begin the stretches of such a file late: first copy it, ffmpeg -i FILM -c copy FILM.mkv"
_ALL_KINDS = ("peak", "low", "rise", "fall")

EXAMPLES = """
examples:
  six stretches of ten seconds, one minute together:
    cineaffect highlights --scores scores --film first --seconds 60 --manifest films.csv
  the peaks of arousal alone, in three stretches of twenty seconds:
    cineaffect highlights --scores scores --film first --seconds 60 --each 20 --target arousal --kinds peak
  then, with FFmpeg, one film of these stretches, exact to the frame:
    ffmpeg -f concat -safe 0 -segment_time_metadata 1 -i scores/highlights/first.ffconcat \\
        -vf select=concatdec_select -af aselect=concatdec_select,aresample=async=1 highlights.mp4

It writes NAME.csv, NAME.edl (for editing programs) and, if the film is at hand on this machine, NAME.ffconcat. How
strong a peak is: how far it stands out of its surroundings; a rise or fall: half the step from low to peak, for the
curve goes so far from its middle.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect highlights`: chooses the stretches, writes the lists and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.commands.report import records_beside
    from beam_pipelines.films.catalogue import list_films
    from beam_pipelines.foundation.errors import ConfigurationError
    from beam_pipelines.report.markers.cut_lists import to_cut_list, to_table
    from beam_pipelines.report.markers.highlights import choose_highlights
    from beam_pipelines.report.scoring.scoring_run import read_scoring_run
    from beam_pipelines.report.scoring.sheet_maker import SheetMaker

    run = read_scoring_run(arguments.scores)
    curve = run.curve(arguments.film)
    if arguments.target not in (None, *curve.targets):
        raise ConfigurationError(f"--target {arguments.target}: these scores have {', '.join(curve.targets)} alone")
    output = arguments.output or storage.join(arguments.scores, _FOLDER)
    films = list_films(arguments.manifest, needs_path=False) if arguments.manifest else []
    maker = SheetMaker(
        output=output,
        label_range=run.label_range,
        films={film.film_id: film for film in films},
        records=arguments.records or records_beside(arguments.scores),
        rate_hz=arguments.frame_rate,
        start_timecode=arguments.start_timecode or "",
    )
    sheet, rate = maker.make(curve)
    events = [event for event in sheet.events if arguments.target in (None, event.target)]
    chosen = choose_highlights(events, curve.seconds, arguments.seconds, arguments.each, arguments.kinds)
    if not chosen:
        raise ConfigurationError(f"{sheet.name}: no {' or '.join(arguments.kinds)} stands out of its curves")
    clip = (sheet.video or sheet.film_id).rsplit("/", 1)[-1]
    texts = {
        ".csv": to_table(chosen, rate, sheet.file_times),
        ".edl": to_cut_list(sheet.name, _unquoted(clip), chosen, rate, sheet.file_times),
    }
    concat, remark = _concat_list(sheet, output, chosen)
    if concat:
        texts[".ffconcat"] = concat
    else:  # an earlier one would be of other stretches
        storage.remove(storage.join(output, sheet.film_id + ".ffconcat"))
    for suffix, text in texts.items():
        storage.write_text(storage.join(output, sheet.film_id + suffix), text)
    print("\n".join(_lines(sheet, chosen, arguments.seconds)))
    print(
        f"highlights: {storage.join(output, sheet.film_id)}{{{','.join(texts)}}}" + (f" ({remark})" if remark else "")
    )
    return EXIT_OK


def _concat_list(sheet: FilmSheet, output: str, chosen: Sequence[Highlight]) -> tuple[str, str]:
    """The list for FFmpeg, which may be empty, and what must be known of it: why there is none."""
    from beam_pipelines.foundation.errors import FilmError
    from beam_pipelines.report.markers.cut_lists import to_concat
    from beam_pipelines.report.scoring.film_clock import clock_of_header

    if sheet.video is None:
        return "", "no list for FFmpeg: the film isn't at hand; --manifest or --records says where it is"
    if sheet.file_times.note:
        return "", "no list for FFmpeg: the file's own timestamps jump"
    path = _unquoted(sheet.video)
    try:
        # Without `..`: the folder of the lists may not be there yet.
        clock, _ = clock_of_header(os.path.normpath(storage.join(output, path)))
        concat = to_concat(path, chosen, Fraction(clock.start_us, 1_000_000) + sheet.file_times.offset_s)
        return concat, _INEXACT if path.lower().endswith(_WITHOUT_INDEX) else ""
    except (FilmError, ValueError) as error:
        return "", f"no list for FFmpeg: {error}"


def _lines(sheet: FilmSheet, chosen: Sequence[Highlight], wanted_s: int) -> list[str]:
    from beam_pipelines.foundation.text_tables import aligned
    from beam_pipelines.report.plots import clock

    offset_s, hours = float(sheet.file_times.offset_s), sheet.curve.seconds >= 3600
    rows: list[list[str]] = [["from", "to", "because of", "at", "strength"]]
    for one in chosen:
        times = [clock(at_s + offset_s, hours=hours) for at_s in (one.start_s, one.end_s, one.event.time_s)]
        what = f"{one.event.target} {one.event.kind}"
        rows.append([times[0], times[1], what, times[2], f"{one.strength:.2f}"])
    total_s = sum(one.seconds for one in chosen)
    stretches = "1 stretch" if len(chosen) == 1 else f"{len(chosen)} stretches"
    less = "" if total_s >= wanted_s else f" of {wanted_s} s, since no other peak or turn has room"
    return [f"{sheet.name}: {stretches}, {total_s} s{less}; times as players count:", *aligned(rows, words=3)]


def _unquoted(address: str) -> str:
    from urllib.parse import unquote

    return unquote(address, errors="surrogateescape")


def _kinds(text: str) -> tuple[Any, ...]:
    kinds = comma_separated(text)
    unknown = [kind for kind in kinds if kind not in _ALL_KINDS]
    if unknown or not kinds:
        raise argparse.ArgumentTypeError(f"'{text}': names of {', '.join(_ALL_KINDS)}, separated by commas")
    return kinds


def _parser() -> argparse.ArgumentParser:
    from beam_pipelines.commands.report import add_timecode

    parser = make_parser("highlights", "Finds the strongest moments of a film, for programs that cut.", EXAMPLES)
    parser.add_argument("--scores", required=True, help="directory of a finished cineaffect score, local or gs://")
    parser.add_argument("--film", required=True, help="the film: its id or its name")
    parser.add_argument(
        "--seconds", type=at_least_one, default=60, help="how long all stretches may be together (default: 60)"
    )
    parser.add_argument("--each", type=at_least_one, default=10, help="how many seconds each has (default: 10)")
    parser.add_argument("--target", choices=("valence", "arousal"), help="events of this curve alone (default: all)")
    parser.add_argument(
        "--kinds",
        type=_kinds,
        default=("peak", "rise", "fall"),
        help="which events: peak, low, rise, fall, separated by commas (default: peak,rise,fall)",
    )
    parser.add_argument("--manifest", help="CSV manifest that says where the film is")
    parser.add_argument("--records", help="directory of feature records, which say so too (default: SCORES/records)")
    parser.add_argument("--output", help="folder of the lists (default: SCORES/highlights)")
    add_timecode(parser)
    return parser
