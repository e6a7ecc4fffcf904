"""`Settings`: all settings of one service in one frozen object."""

from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from geosvc.settings.database import DatabaseSettings
from geosvc.settings.limits import ReadingSettings
from geosvc.settings.live import LiveSettings
from geosvc.settings.network import ListeningSettings
from geosvc.settings.observation import ObservationSettings
from geosvc.settings.presentation import PresentationSettings
from geosvc.settings.publication import PublicationSettings
from geosvc.settings.tile_limits import TileSettings
from geosvc.settings.writing import WritingSettings

PREFIX = "GEOSVC_"


class Settings(
    DatabaseSettings,
    ListeningSettings,
    PresentationSettings,
    PublicationSettings,
    ReadingSettings,
    TileSettings,
    LiveSettings,
    WritingSettings,
    ObservationSettings,
    BaseSettings,
):
    """The validated settings of one service.

    Raises: pydantic.ValidationError; `load_settings` turns it into a `SettingsError` with one line
    for each mistake.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then the environment; `load_settings` puts the file's values below both."""
        return init_settings, env_settings

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.pool_min_size > self.pool_max_size:
            raise ValueError(
                f"POOL_MIN_SIZE {self.pool_min_size} is above POOL_MAX_SIZE {self.pool_max_size}"
            )
        if self.limit_default > self.limit_max:
            raise ValueError(
                f"LIMIT_DEFAULT {self.limit_default} is above LIMIT_MAX {self.limit_max}"
            )
        if self.max_uploads is not None and self.max_uploads >= max(self.write_pool_max_size, 2):
            raise ValueError(
                f"MAX_UPLOADS {self.max_uploads} leaves none of WRITE_POOL_MAX_SIZE"
                f" {self.write_pool_max_size} to single writes"
            )
        if self.max_feature_bytes > self.max_held_body_bytes:
            raise ValueError(
                f"MAX_FEATURE_BYTES {self.max_feature_bytes} is above MAX_HELD_BODY_BYTES"
                f" {self.max_held_body_bytes}"
            )
        if (self.db_ssl_cert is None) != (self.db_ssl_key is None):
            raise ValueError("DB_SSL_CERT and DB_SSL_KEY go together")
        if self.db_direct_tls and self.db_ssl_mode == "disable":
            raise ValueError("DB_DIRECT_TLS needs a DB_SSL_MODE that encrypts")
        return self
