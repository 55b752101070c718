"""Links by which a page's reader approves a retraining: signed, expiring, and of use once.

A link names one request and says until when it is good, signed with HMAC by the store's secret. It is of use once,
because a request that was approved or refused awaits nothing any more. Looking at it changes nothing, since
mail scanners follow links.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from itsdangerous import BadData, URLSafeSerializer

from mlhealth.clock import DAY
from mlhealth.errors import AuthError

GOOD_FOR = DAY


@dataclass(frozen=True)
class ApprovalLinks:
    """Makes and reads links to the pages at `base_url`."""

    secret: str
    base_url: str = ""

    def link(self, request: str, now: int) -> str:
        """Return the address at which `request` can be approved for a day; "" where no address is known."""
        if not self.base_url:
            return ""
        token = self._signer.dumps([request, now + GOOD_FOR])
        return f"{self.base_url.rstrip('/')}/approve/{token}"

    def read(self, token: str, now: int) -> str:
        """Return the request that a link names; raises AuthError where it is forged, damaged or too old."""
        try:
            request, until = self._signer.loads(token)
        except (BadData, ValueError, TypeError):
            raise AuthError("this link was not made by this service, or was damaged on its way") from None
        if now >= int(until):
            raise AuthError("this link is too old; approve on the page about retraining instead")
        return str(request)

    @property
    def _signer(self) -> URLSafeSerializer:
        return URLSafeSerializer(
            self.secret, salt="mlhealth.approval", signer_kwargs={"digest_method": sha256}
        )
