"""A bundle for one reader: encrypted to a public key, so that who stores or carries it learns nothing.

1. An ephemeral X25519 key pair and the reader's public key give a shared secret.
2. HKDF-SHA256 over it, salted with both public keys, gives a key that is used this once.
3. ChaCha20-Poly1305 encrypts the bundle; the header is authenticated with it.

The bytes are ``crowdalpha-sealed-1`` and a line end, the ephemeral public key (32 bytes), then the ciphertext with its tag.
Each primitive is that of the ``cryptography`` package; they are put together as in RFC 9180's base mode, without its framing.
"""

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.bundles.archive import differs, unreadable

MAGIC = b"crowdalpha-sealed-1\n"
KEY_BYTES = 32
_NONCE = b"\x00" * 12
"""One message a key, so the number that must never repeat may be zero."""


def make_key_pair() -> tuple[str, str]:
    """Return a new private and public key, 64 hexadecimal digits each."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private = X25519PrivateKey.generate()
    return private.private_bytes_raw().hex(), private.public_key().public_bytes_raw().hex()


def seal_to(data: bytes, public_key: str) -> bytes:
    """Return ``data`` encrypted to ``public_key``; each call gives other bytes.

    Raises
    ------
    InputRejected
        ``AUDITOR_KEY`` for text that is no key, and for the few keys with which no secret can be shared: points of low order.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    reader = X25519PublicKey.from_public_bytes(_key(public_key))
    ephemeral = X25519PrivateKey.generate()
    own = ephemeral.public_key().public_bytes_raw()
    header = MAGIC + own
    try:
        shared = ephemeral.exchange(reader)
    except ValueError as error:
        raise InputRejected(
            Code.AUDITOR_KEY, f"Nothing can be sealed to the key {public_key[:16]}…: it is nobody's."
        ) from error
    return header + ChaCha20Poly1305(_derived(shared, own + _key(public_key))).encrypt(_NONCE, data, header)


def open_sealed(data: bytes, private_key: str) -> bytes:
    """Return what :func:`seal_to` encrypted.

    Raises
    ------
    InputRejected
        ``BUNDLE_UNREADABLE`` for other data; ``BUNDLE_DIFFERS`` if it was changed or is for another key.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    if not is_sealed(data) or len(data) < len(MAGIC) + KEY_BYTES:
        raise unreadable("it is not a sealed bundle")
    header, rest = data[: len(MAGIC) + KEY_BYTES], data[len(MAGIC) + KEY_BYTES :]
    private = X25519PrivateKey.from_private_bytes(_key(private_key))
    sender = header[len(MAGIC) :]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(sender))
        key = _derived(shared, sender + private.public_key().public_bytes_raw())
        return ChaCha20Poly1305(key).decrypt(_NONCE, rest, header)
    except (InvalidTag, ValueError) as error:
        raise differs("it was sealed for another key, or changed since") from error


def is_sealed(data: bytes) -> bool:
    """Say whether ``data`` begins as a sealed bundle does."""
    return data.startswith(MAGIC)


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputRejected(Code.AUDITOR_KEY, Code.AUDITOR_KEY.meaning)
    return key


def _derived(shared: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt, MAGIC).derive(shared)
