"""The order in which the local runner gets the films: it gives every worker each n-th one."""

from __future__ import annotations

from beam_pipelines.films.catalogue import Film
from beam_pipelines.launch.local_work import largest_first


def test_the_largest_files_come_first_and_what_has_no_size_last_in_its_order(tmp_path):
    films = [Film("bucket", "gs://bucket/film.mp4"), Film("absent", str(tmp_path / "absent.mp4"))]
    films.append(Film("refused", "a name with a zero\0in it"))
    for name, size_bytes in (("short", 10), ("long", 1000), ("middle", 100), ("as_long", 1000)):
        (tmp_path / name).write_bytes(bytes(size_bytes))
        films.append(Film(name, str(tmp_path / name)))
    order = [film.film_id for film in largest_first(films)]
    assert order == ["long", "as_long", "middle", "short", "bucket", "absent", "refused"]
