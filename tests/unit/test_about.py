"""What a service says of itself, as the environment and a file can give it."""

from pathlib import Path
from typing import Any

import pytest

from geosvc.about import About, Contact, License
from geosvc.errors import SettingsError
from geosvc.settings import load_settings


def about(tmp_path: Path, text: str) -> About:
    """What a file makes of it."""
    path = tmp_path / "geosvc.toml"
    path.write_text(text, "utf-8")
    return load_settings(path).about


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "GIS team <gis@example.org> (https://example.org/gis)",
            ("GIS team", "https://example.org/gis", "gis@example.org"),
        ),
        (
            "GIS team gis@example.org https://example.org/gis",
            ("GIS team", "https://example.org/gis", "gis@example.org"),
        ),
        ("gis@example.org", (None, None, "gis@example.org")),
        ("https://example.org/gis", (None, "https://example.org/gis", None)),
        ("Ylöjärvi, Kartat & Co", ("Ylöjärvi, Kartat & Co", None, None)),
        ('{"name": "GIS", "email": "gis@example.org"}', ("GIS", None, "gis@example.org")),
    ],
)
def test_a_contact_is_read_from_one_line(
    monkeypatch: pytest.MonkeyPatch, text: str, wanted: tuple[Any, Any, Any]
) -> None:
    monkeypatch.setenv("GEOSVC_CONTACT", text)
    contact = load_settings().contact
    assert contact is not None
    assert (contact.name, contact.url, contact.email) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
            ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ),
        ("ODbL", ("ODbL", None)),
        (
            "https://example.org/licence",
            ("https://example.org/licence", "https://example.org/licence"),
        ),
    ],
)
def test_a_licence_is_read_from_one_line(
    monkeypatch: pytest.MonkeyPatch, text: str, wanted: tuple[str, str | None]
) -> None:
    monkeypatch.setenv("GEOSVC_LICENSE", text)
    found = load_settings().license
    assert found is not None
    assert (found.name, found.url) == wanted


def test_a_file_has_tables_of_them(tmp_path: Path) -> None:
    found = about(
        tmp_path,
        'title = "Maps"\nterms = "https://example.org/terms"\n[contact]\nname = "GIS"\nurl = "https://example.org"\n'
        '[license]\nname = "ODbL"\n',
    )
    assert found.title == "Maps"
    assert found.terms == "https://example.org/terms"
    assert found.contact == Contact(name="GIS", url="https://example.org")
    assert found.license == License(name="ODbL")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ('title = ""', "TITLE"),
        ('terms = "example.org/terms"', "TERMS"),
        ('terms = "javascript:alert(1)"', "TERMS"),
        ('terms = "https://[::1"', "TERMS"),
        ("[contact]", "CONTACT"),
        ('[contact]\nemail = "nobody"', "CONTACT.email"),
        ('[contact]\nurl = "example.org"', "CONTACT.url"),
        ('[contact]\nmail = "gis@example.org"', "CONTACT.mail"),
        ('[license]\nurl = "https://example.org"', "LICENSE.name"),
        ('contact = "{"', "CONTACT"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        about(tmp_path, text)
    assert f"GEOSVC_{setting}: " in str(caught.value)
