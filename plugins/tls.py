"""Certificates of connections to brokers."""

import ssl
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pipeline.settings import ConfigPath, Settings


class Tls(Settings):
    """Certificates; the broker's is always checked, by the system's authorities unless `ca` names others."""

    ca: ConfigPath | None = None
    cert: ConfigPath | None = Field(default=None, description="Our own certificate, with `key`.")
    key: ConfigPath | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self

    def need_usable(self) -> None:
        """Tries the files: the library meets one that it cannot use at every connection, and says so nowhere.

        Raises:
            ValueError: Which one, and why.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in filter(None, (self.ca, self.cert, self.key)):
            _need_readable(path)
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:
                raise ValueError(f"{self.ca} has no certificates that can be used: {error}") from None
        if self.cert is not None and self.key is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password=str)  # nobody is asked for a passphrase
            except OSError as error:
                raise ValueError(
                    f"{self.cert} and {self.key} are no certificate and its unencrypted key: {error}"
                ) from None


def _need_readable(path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
