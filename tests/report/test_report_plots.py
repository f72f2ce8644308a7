"""Plots: what is drawn is looked for in the pixels, and titles are text and nothing else."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.film_ids import escape_film_id
from beam_pipelines.report.plots import COLOURS, clock, plot_film

SECONDS = np.arange(120)
VALENCE = 0.8 * np.sin(SECONDS / 15)
AROUSAL = 0.8 * np.cos(SECONDS / 11)


def pixels(content: bytes) -> np.ndarray:
    """A PNG as uint8 [height, width, 3]."""
    from matplotlib import image

    return (image.imread(io.BytesIO(content))[..., :3] * 255).round().astype(np.uint8)


def places(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where a picture has exactly this colour, bool [height, width]."""
    return (picture == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=-1)


def curve_of(film_id: str = "A film", **changes: object) -> AffectCurve:
    """The curve of a film without raw values, which leaves no line."""
    values: dict = {"valence": VALENCE, "arousal": AROUSAL} | changes
    absent = np.full(len(values["valence"]), np.nan)
    return AffectCurve(film_id, **{"valence_raw": absent, "arousal_raw": absent, **values})


def curve_png(film_id: str = "A film", **changes: object) -> bytes:
    output = io.BytesIO()
    plot_film(output, curve_of(film_id, **changes))
    return output.getvalue()


def test_a_path_gets_a_whole_png(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "film.png"
    plot_film(str(path), curve_of())
    assert [entry.name for entry in path.parent.iterdir()] == ["film.png"]
    assert path.read_bytes() == curve_png()
    assert pixels(path.read_bytes()).shape == (702, 1300, 3)


def test_a_film_of_one_second_is_a_point_in_each_panel() -> None:
    one = {"valence": np.full(1, 0.5), "arousal": np.full(1, 0.5)}
    shown, blank = (pixels(curve_png(**{**one, "valence": np.full(1, value)})) for value in (0.5, np.nan))
    assert 20 < (shown != blank).any(axis=-1).sum() < 2000


def test_a_plot_of_a_run_is_headed_by_the_name_as_people_wrote_it() -> None:
    film_id = escape_film_id('a/"b"?')
    heading = pixels(curve_png(film_id))[:40]
    assert (heading == pixels(curve_png('a/"b"?'))[:40]).all()
    assert not (heading == pixels(curve_png(film_id.replace("%", "%25")))[:40]).all()


def test_the_spread_of_an_ensemble_is_a_band() -> None:
    tinted = []
    for wide in (0.1, 0.2):
        picture = pixels(curve_png(valence_spread=np.full(120, wide), arousal_spread=np.full(120, np.nan)))
        assert not (picture == pixels(curve_png())).all()
        band = np.array([204, 227, 240])  # a fifth of valence's blue on white
        tinted.append(int((np.abs(picture.astype(int) - band).max(axis=-1) <= 2).sum()))
    assert tinted[0] > 1000
    assert tinted[1] > 1.6 * tinted[0]


def test_a_calibrated_model_has_its_bands_and_no_spread() -> None:
    bands = {}
    for target, values in (("valence", VALENCE), ("arousal", AROUSAL)):
        for level, half in ((80, 0.1), (95, 0.2)):
            bands |= {f"{target}_low_{level}": values - half, f"{target}_high_{level}": values + half}
    spread = {"valence_spread": np.full(120, 0.5), "arousal_spread": np.full(120, 0.5)}
    picture = pixels(curve_png(bands=bands, **spread)).astype(int)
    assert (picture == pixels(curve_png(bands=bands))).all()
    white, blue = np.full(3, 255), np.frombuffer(bytes.fromhex(COLOURS["valence"][1:]), np.uint8).astype(int)
    outer = white + 0.12 * (blue - white)
    inner = white + 0.2 * (blue - white)
    inner += 0.12 * (blue - inner)
    counts = [int((np.abs(picture - colour).max(axis=-1) <= 2).sum()) for colour in (outer, inner)]
    assert min(counts) > 1000
    assert counts[0] == pytest.approx(counts[1], rel=0.35)


def test_valence_lies_above_arousal_and_follows_its_values() -> None:
    picture = pixels(curve_png(valence=np.linspace(-1, 1, 120), arousal=np.full(120, -1.0)))
    height, width, _ = picture.shape
    # Names and legends also have the colours: the middle of the picture's width has only curves.
    valence, arousal = (places(picture, COLOURS[target])[:, width // 5 : width // 2] for target in COLOURS)
    assert np.flatnonzero(valence.any(axis=1)).max() < height / 2 < np.flatnonzero(arousal.any(axis=1)).min()
    rows = np.array([np.flatnonzero(column).mean() for column in valence.T if column.any()])
    assert rows.size > 200
    assert np.corrcoef(rows, -np.arange(rows.size))[0, 1] > 0.999
    arousal_rows = np.flatnonzero(arousal.any(axis=1))
    assert np.ptp(arousal_rows) < 6
    assert arousal_rows.min() > 0.8 * height


def test_raw_curves_are_drawn_only_where_given() -> None:
    inside = (slice(80, 620), slice(120, 800))
    bare = pixels(curve_png())[inside]
    with_raw = pixels(curve_png(valence_raw=-VALENCE, arousal_raw=-AROUSAL))[inside]
    assert (with_raw != bare).any(axis=-1).sum() > 2000


def test_a_gap_stays_open() -> None:
    holed = VALENCE.copy()
    holed[50:80] = np.nan
    half = slice(0, 351)
    whole, gapped = (places(pixels(curve_png(valence=v))[half], COLOURS["valence"]) for v in (VALENCE, holed))
    assert whole[:, 600:720].any()
    assert not gapped[:, 600:720].any()


@pytest.mark.parametrize(
    "title",
    [
        r"costs $5, $\frac{1}{0}$ and $\undefined{",
        "七人の侍",
        "Семь самураев · Επτά · سبعة",
        "<script>alert('&')</script>",
        "line\nbreak\tand\x00control\x1b[31m",
        "🎬 film 🎞",
        "very long " * 400,
        "\ud800 half a surrogate",
    ],
)
def test_any_title_is_drawn_as_text(title: str) -> None:
    picture = pixels(curve_png(title))
    # The title's row: something is written there, and not beyond the right edge.
    assert (picture[:30] < 128).any()
    assert (picture[:30, -8:] > 200).all()


def test_a_film_without_a_title_is_drawn() -> None:
    assert places(pixels(curve_png("")), COLOURS["valence"]).sum() > 1000


def test_dollars_are_not_formulas() -> None:
    assert curve_png("a $x$ b") != curve_png("a x b")
    title, formula = (
        np.flatnonzero((pixels(curve_png(text))[:40] < 128).any(axis=(0, 2))).max() for text in ("$xx$", "xx")
    )
    assert title > formula + 10


def test_own_settings_of_a_person_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: black\nsavefig.bbox: tight\nbackend: svg\n")
    program = (
        "import sys; from tests.report.test_report_plots import curve_of, plot_film\n"
        "plot_film(sys.stdout.buffer, curve_of())\n"
        "import matplotlib; sys.stderr.write(matplotlib.get_backend())"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {
        "PYTHONPATH": root,
        "MATPLOTLIBRC": str(tmp_path),
        "HOME": str(tmp_path),
        "MPLCONFIGDIR": str(tmp_path),
    }
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=True)
    assert result.stdout == curve_png()
    # A backend is the whole process's: a plot must not change what a notebook shows.
    assert result.stderr.endswith(b"svg")


def test_threads_draw_the_same_bytes() -> None:
    results: dict[int, bytes] = {}

    def draw(number: int) -> None:
        results[number] = curve_png(valence=VALENCE * (number % 2))

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [curve_png(valence=VALENCE * parity) for parity in (0, 1)]
    assert [results[number] for number in range(4)] == [*expected, *expected]


@pytest.mark.parametrize("length", [0, 1, 2, 11_000])
def test_films_of_any_length(length: int) -> None:
    curve = np.sin(np.arange(length) / 500)
    content = curve_png(valence=curve, arousal=curve)
    assert pixels(content).shape == (702, 1300, 3)


def test_clock() -> None:
    assert [clock(time_s, hours=False) for time_s in (0, 9, 60, 3599)] == ["0:00", "0:09", "1:00", "59:59"]
    assert [clock(time_s, hours=True) for time_s in (0, 3600, 10_925)] == ["0:00:00", "1:00:00", "3:02:05"]


def test_plots_import_matplotlib_late_and_neither_beam_nor_tensorflow() -> None:
    program = (
        "import sys; sys.modules['apache_beam'] = sys.modules['tensorflow'] = None\n"
        "import beam_pipelines.report.plots; print('matplotlib' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
