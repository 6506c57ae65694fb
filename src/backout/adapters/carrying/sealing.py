"""Sealed words between two processes: whoever reads the database in between reads nothing.

Each has a pair of keys that never leaves its memory; what was said cannot be read after its end.
"""

from __future__ import annotations

import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Unsealed(Exception):
    """It was sealed for somebody else, or about something else, or is not whole."""


class Seal:
    """The keys of one process."""

    def __init__(self) -> None:
        self._own = X25519PrivateKey.generate()
        self.public = self._own.public_key().public_bytes_raw()
        self._cipher = lru_cache(maxsize=1024)(self._made)

    def closed(self, theirs: bytes, about: str, words: bytes) -> bytes:
        """For whoever has the other half of `theirs`, and about this alone."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(theirs, self.public, theirs).encrypt(nonce, words, about.encode())
        return nonce + sealed

    def opened(self, theirs: bytes, about: str, sealed: bytes) -> bytes:
        """What they have closed for this process. Raises Unsealed."""
        cipher = self._cipher(theirs, theirs, self.public)
        try:
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealed from error

    def _made(self, theirs: bytes, sender: bytes, receiver: bytes) -> ChaCha20Poly1305:
        """Each direction has a key of its own."""
        secret = self._own.exchange(X25519PublicKey.from_public_bytes(theirs))
        about = b"backout parcel" + sender + receiver
        return ChaCha20Poly1305(HKDF(SHA256(), 32, None, about).derive(secret))
