"""Languages as files name them: two letters, three in either of ISO 639-2's forms, or the English word."""

from __future__ import annotations

# Matroska has the first of two forms of three letters, MP4 the second.
_NAMES = """
ar/ara/arabic bg/bul/bulgarian bn/ben ca/cat/catalan cs/cze/ces/czech cy/wel/cym da/dan/danish de/ger/deu/german
el/gre/ell/greek en/eng/english es/spa/spanish et/est/estonian eu/baq/eus fa/per/fas/persian fi/fin/finnish
fr/fre/fra/french ga/gle he/heb/hebrew hi/hin/hindi hr/hrv/croatian hu/hun/hungarian hy/arm/hye id/ind/indonesian
is/ice/isl/icelandic it/ita/italian ja/jpn/japanese ka/geo/kat ko/kor/korean lt/lit/lithuanian lv/lav/latvian mi/mao/mri
mk/mac/mkd ms/may/msa my/bur/mya nb/nob nl/dut/nld/dutch nn/nno no/nor/norwegian pl/pol/polish pt/por/portuguese
ro/rum/ron/romanian ru/rus/russian sk/slo/slk/slovak sl/slv/slovenian sq/alb/sqi sr/srp/serbian sv/swe/swedish ta/tam
te/tel th/tha/thai bo/tib/bod tr/tur/turkish uk/ukr/ukrainian ur/urd vi/vie/vietnamese zh/chi/zho/chinese
"""
_ONE_FORM = {name: names.split("/")[0] for names in _NAMES.split() for name in names.split("/")}


def one_form(language: str) -> str:
    """The same text for every form of one language, without a region (`en` for eng, English and en-US)."""
    name = language.casefold()
    return _ONE_FORM.get(name.replace("_", "-").split("-")[0], name)


def is_language(name: str) -> bool:
    """Whether a name is that of a language known here, with or without a region."""
    return one_form(name) in _ONE_FORM
