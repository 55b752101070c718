"""`outbound`: which addresses requests of this service may go to."""

from __future__ import annotations

from typing import Literal

from mlhealth.config.strict_model import Strict


class OutboundConfig(Strict):
    """Whom webhooks, scorers and registries may be.

    `private`: whether loopback and private addresses may be asked at all; they may, unless this says `deny`. `allow`:
    names and networks (CIDR) that may be asked in spite of it. Link-local addresses, where clouds keep credentials, and
    addresses that are no host's are never asked unless `allow` names their network.
    """

    private: Literal["allow", "deny"] = "allow"
    allow: tuple[str, ...] = ()
