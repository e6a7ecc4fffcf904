"""Where a database is, for programs that want its parts."""

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

_PORT = 5432


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of the URL of a database.

    Attributes:
        host: a name, or the folder of a Unix socket.
    """

    host: str
    port: int
    database: str
    user: str
    password: str

    @property
    def keywords(self) -> str:
        """As libpq takes them."""
        parts = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
        }
        return " ".join(f"{name}={value}" for name, value in parts.items() if value)

    @property
    def url(self) -> str:
        """A URL whose host stands before the path, even when it is a folder."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        return (
            f"postgresql://{quote(self.user, safe='')}{password}@{quote(self.host, safe='')}"
            f":{self.port}/{quote(self.database, safe='')}"
        )


def parse_address(url: str) -> Address:
    """The parts of `postgresql://user:password@host:port/database?host=…&port=…`."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Address(
        host=unquote(parts.hostname or "") or options.get("host", "localhost"),
        port=parts.port or int(options.get("port", _PORT)),
        database=unquote(parts.path.removeprefix("/")),
        user=unquote(parts.username or "") or options.get("user", ""),
        password=unquote(parts.password or "") or options.get("password", ""),
    )
