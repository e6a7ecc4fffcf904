"""Settings: precedence, mistakes, secrets."""

import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from geosvc.errors import SettingsError
from geosvc.settings import CollectionSettings, Settings, load_settings, unknown_variables

URL = "postgresql://someone:s3cr3t-w0rd@db.example/gis"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("GEOSVC_")]:
        monkeypatch.delenv(name)


def mistakes(config: Path | None = None, **options: object) -> tuple[str, ...]:
    """What is wrong with these options."""
    with pytest.raises(SettingsError) as caught:
        load_settings(config, **options)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    assert all("\n" not in mistake for mistake in caught.value.mistakes)
    return caught.value.mistakes


def written(folder: Path, text: str) -> Path:
    """A TOML file."""
    path = folder / "geosvc.toml"
    path.write_text(text, "utf-8")
    return path


def test_without_anything_every_setting_has_its_default() -> None:
    settings = load_settings()
    assert settings == Settings()
    for name, field in Settings.model_fields.items():
        assert getattr(settings, name) == field.get_default()


def test_an_option_beats_the_environment_which_beats_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path, "port = 1\nadmin_port = 1\nworkers = 1\nlimit_max = 77\n")
    monkeypatch.setenv("GEOSVC_PORT", "2")
    monkeypatch.setenv("GEOSVC_ADMIN_PORT", "2")
    settings = load_settings(path, port=3, workers=None)
    assert (settings.port, settings.admin_port, settings.workers, settings.limit_max) == (
        3,
        2,
        1,
        77,
    )


def test_a_whole_table_of_the_file_is_beaten_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(
        tmp_path, '[collections.a]\ntitle = "file"\nsrid = 3067\n[collections.b]\ntitle = "file"\n'
    )
    monkeypatch.setenv("GEOSVC_COLLECTIONS", '{"a": {"title": "environment"}}')
    assert load_settings(path).collections == {"a": CollectionSettings(title="environment")}


def test_the_file_may_be_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEOSVC_CONFIG", str(written(tmp_path, "port = 5")))
    assert load_settings().port == 5
    assert load_settings(port=6).port == 6


def test_an_empty_variable_is_one_that_is_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path, "port = 5")
    for name in ("GEOSVC_PORT", "GEOSVC_DATABASE_URL", "GEOSVC_CONFIG", "GEOSVC_SCHEMAS"):
        monkeypatch.setenv(name, "")
    settings = load_settings(path)
    assert (settings.port, settings.database_url, settings.schemas) == (5, None, ("public",))


def test_the_file_has_collections(tmp_path: Path) -> None:
    text = 'SCHEMAS = "a, b"\n[collections.roads]\nkey = "a,b"\ndatetime = ["seen"]\nsrid = 3067\ntitle = "Roads"\n'
    settings = load_settings(written(tmp_path, text))
    assert settings.schemas == ("a", "b")
    assert settings.collections["roads"] == CollectionSettings(
        key=("a", "b"), datetime=("seen",), srid=3067, title="Roads"
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        ("s.t*,u", ("s.t*", "u")),
        (",", ()),
        ('["a"]', ('["a"]',)),
    ],
)
def test_a_list_has_commas_between_its_names(
    monkeypatch: pytest.MonkeyPatch, text: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GEOSVC_TABLES", text)
    assert load_settings().tables == names
    assert load_settings(exclude_tables=text).exclude_tables == names


def test_at_least_one_schema_is_published() -> None:
    assert mistakes(schemas=",")[0].startswith("GEOSVC_SCHEMAS: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"),
        ("port", -1),
        ("port", 65_536),
        ("workers", 0),
        ("workers", 257),
        ("loop", "twisted"),
        ("log_level", "INFO"),
        ("log_format", "xml"),
        ("limit_max", 0),
        ("limit_default", -5),
        ("batch_rows", 0),
        ("batch_bytes", 1.5),
        ("count_seconds", 0),
        ("count_seconds", "nan"),
        ("count_seconds", "inf"),
        ("statement_timeout_seconds", 86_401),
        ("pool_max_size", 0),
        ("pgbouncer", "perhaps"),
        ("database_url", ""),
        ("database_url", "mysql://x/y"),
        ("database_url", "host=x dbname=y"),
        ("database_url", "postgresql://[::1/db"),
        ("database_url", "postgresql://h:port/db"),
        ("direct_database_url", "x"),
        ("public_url", "example.org"),
        ("public_url", "ftp://example.org"),
        ("public_url", "https://example.org/?a=b"),
        ("public_url", "https://example.org/#a"),
        ("public_url", "http://[::1"),
        ("db_ssl_mode", "prefer"),
        ("db_ssl_mode", "allow"),
        ("db_ssl_root_cert", "/nowhere/ca.pem"),
        ("schemas", 5),
        ("collections", {"a": {"srid": 0}}),
        ("collections", {"a": {"datetime": "a,b,c"}}),
        ("collections", {"a": 5}),
        ("data_dir", 5),
    ],
)
def test_a_mistake_is_one_line_with_the_name_of_the_setting(name: str, value: object) -> None:
    found = mistakes(None, **{name: value})
    assert len(found) == 1
    assert found[0].startswith((f"GEOSVC_{name.upper()}: ", f"GEOSVC_{name.upper()}."))


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEOSVC_PORT", "x")
    found = mistakes(written(tmp_path, "workers = 0\nlop = 1\n"), database_url="x")
    subjects = {mistake.partition(":")[0] for mistake in found}
    assert subjects == {"GEOSVC_PORT", "GEOSVC_WORKERS", "GEOSVC_LOP", "GEOSVC_DATABASE_URL"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"pool_min_size": 5, "pool_max_size": 4}, ("POOL_MIN_SIZE", "POOL_MAX_SIZE")),
        ({"limit_default": 50, "limit_max": 20}, ("LIMIT_DEFAULT", "LIMIT_MAX")),
        ({"db_ssl_cert": __file__}, ("DB_SSL_CERT", "DB_SSL_KEY")),
        ({"db_ssl_key": __file__}, ("DB_SSL_CERT", "DB_SSL_KEY")),
        ({"db_direct_tls": True, "db_ssl_mode": "disable"}, ("DB_DIRECT_TLS", "DB_SSL_MODE")),
    ],
)
def test_settings_that_do_not_go_together_are_named_both(
    options: dict[str, object], names: tuple[str, str]
) -> None:
    (found,) = mistakes(None, **options)
    assert all(name in found for name in names)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
@pytest.mark.parametrize("mode", ["prefer", "allow", "PREFER", "verify_full", "none"])
def test_an_sslmode_that_may_fall_back_to_plain_text_is_refused(scheme: str, mode: str) -> None:
    (found,) = mistakes(database_url=f"{scheme}://db.example/gis?sslmode={mode}")
    assert found.startswith(f"GEOSVC_DATABASE_URL: sslmode={mode} may fall back to plain text")


@pytest.mark.parametrize(
    "query",
    ["sslmode=prefer&sslmode=require", "sslmode=require&sslmode=prefer", "a=b&sslmode=allow"],
)
def test_a_second_sslmode_hides_no_first(query: str) -> None:
    assert len(mistakes(database_url=f"postgresql://db.example/gis?{query}")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///gis",
        "postgresql://db.example/gis?sslmode=require",
        "postgresql://u:p@[::1]:5432/gis",
        "postgresql:///gis?host=/var/run/postgresql&port=5433",
        "postgresql://a.example,b.example/gis",
        "postgresql://u:p%40%2Fx@db.example:6432/gis",
    ],
)
def test_a_dsn_that_asyncpg_takes_is_taken(url: str) -> None:
    database_url = load_settings(database_url=url).database_url
    assert database_url is not None
    assert database_url.get_secret_value() == url


@pytest.mark.parametrize(
    "hosts", ["a.example:5432,b.example:5433", "a.example:5432,b.example", "[::1]:5432,[::2]:5432"]
)
def test_a_dsn_may_name_several_hosts_with_their_ports(hosts: str) -> None:
    assert load_settings(database_url=f"postgresql://u:p@{hosts}/gis").database_url is not None


def test_a_secret_is_in_no_repr_and_no_str() -> None:
    settings = load_settings(database_url=URL, direct_database_url=URL)
    shown = [
        repr(settings),
        str(settings),
        f"{settings}",
        str(settings.model_dump()),
        settings.model_dump_json(),
    ]
    for text in (*shown, repr(settings.database_url), str(settings.direct_database_url)):
        assert "s3cr3t" not in text
    assert isinstance(settings.database_url, SecretStr)


@pytest.mark.parametrize(
    "url",
    [
        "s3cr3t-w0rd",
        URL.replace("postgresql", "mysql"),
        URL + "?sslmode=prefer",
        URL.replace("@db.example", "/@db.example"),
        URL.replace("@db.example", "@[db.example"),
        URL.replace("@db.example", "@db.example:s3cr3t"),
    ],
)
def test_a_secret_is_in_no_mistake_and_no_stack(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(database_url=url)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
    monkeypatch.setenv("GEOSVC_DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
    monkeypatch.delenv("GEOSVC_DATABASE_URL")
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, f'database_url = "{url}"\n'))
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text", ['database_url = "s3cr3t', "database_url = s3cr3t", 'a = 1\na = "s3cr3t"', "= s3cr3t"]
)
def test_a_file_that_is_no_toml_is_named_without_what_it_holds(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    (found,) = mistakes(path)
    assert found.startswith(f"{path}: is no TOML: ")
    assert "s3cr3t" not in found


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "gone.toml") == (
        f"{tmp_path / 'gone.toml'}: cannot be read: No such file or directory",
    )
    assert mistakes(tmp_path)[0].startswith(f"{tmp_path}: cannot be read: ")
    (tmp_path / "latin").write_bytes(b'host = "\xfc"')
    assert mistakes(tmp_path / "latin")[0].startswith(f"{tmp_path / 'latin'}: is no TOML: ")


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("databse_url", "DATABASE_URL"),
        ("Pool_Maxsize", "POOL_MAX_SIZE"),
        ("limitmax", "LIMIT_MAX"),
        ("zzz", None),
    ],
)
def test_an_unknown_key_of_the_file_is_a_mistake_with_a_suggestion(
    key: str, suggestion: str | None, tmp_path: Path
) -> None:
    (found,) = mistakes(written(tmp_path, f"{key} = 1\n"))
    expected = f"GEOSVC_{key.upper()}: is not a setting"
    assert found == (expected if suggestion is None else f"{expected}; did you mean {suggestion}?")


@pytest.mark.parametrize(
    ("key", "meant"), [("kye", "key"), ("titel", "title"), ("date_time", "datetime")]
)
def test_an_unknown_key_of_a_collection_is_compared_with_those_of_a_collection(
    key: str, meant: str, tmp_path: Path
) -> None:
    (found,) = mistakes(written(tmp_path, f'[collections.roads]\n{key} = "a"\n'))
    assert found.startswith(f"GEOSVC_COLLECTIONS.roads.{key}: ")
    assert "COLLECTIONS?" not in found
    assert meant in found.casefold().partition("did you mean")[2]


def test_collections_that_are_no_json_are_a_mistake_like_every_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEOSVC_COLLECTIONS", "{roads: s3cr3t")
    (found,) = mistakes()
    assert found.startswith("GEOSVC_COLLECTIONS: ")
    assert "s3cr3t" not in found


def test_an_unknown_variable_does_not_stop_the_start_but_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "GEOSVC_SERVICE_HOST",
        "GEOSVC_DATABSE_URL",
        "GEOSVC_PORTS",
        "GEOSVC_PORT",
        "GEOSVC_CONFIG",
        "OTHER_PORT",
    ):
        monkeypatch.setenv(name, "")
    load_settings()
    found = dict(unknown_variables())
    assert found.keys() == {"GEOSVC_SERVICE_HOST", "GEOSVC_DATABSE_URL", "GEOSVC_PORTS"}
    assert found["GEOSVC_DATABSE_URL"] == "GEOSVC_DATABASE_URL"
    assert found["GEOSVC_PORTS"] == "GEOSVC_PORT"


@pytest.mark.parametrize(
    ("given_", "kept"),
    [("https://x.org/api/", "https://x.org/api"), ("http://x.org:8080", "http://x.org:8080")],
)
def test_a_public_url_ends_without_a_slash(given_: str, kept: str) -> None:
    assert load_settings(public_url=given_).public_url == kept


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is_in_a_sentence(name: str) -> None:
    assert (Settings.model_fields[name].description or "").endswith(".")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_no_database_url_is_ever_repeated_in_a_mistake(text: str) -> None:
    secret = f"s3cr3t{text}"
    try:
        settings = load_settings(database_url=f"postgresql://u:{secret}@db.example/gis")
    except SettingsError as error:
        assert "s3cr3t" not in str(error)
    else:
        assert "s3cr3t" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "one"),
    [
        ("postgresql://user:a,b@db.example.org/gis", True),
        ("postgresql://user@/gis?host=/run/postgresql&port=5432", True),
        ("postgresql://user@one.example.org,two.example.org/gis", False),
        ("postgresql://user@/gis?host=one.example.org,two.example.org", False),
    ],
)
def test_a_url_of_several_hosts_names_more_than_one_server(url: str, one: bool) -> None:
    assert load_settings(database_url=url).names_one_server == one
