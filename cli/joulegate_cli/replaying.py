"""The replayer, built here: quarantine is decoded again by the gateway's decoder, and HTTP must not import the gateway."""

from typing import TYPE_CHECKING

from joulegate_core.clock import Clock, utc_now

if TYPE_CHECKING:
    from joulegate_core.settings import Settings
    from joulegate_db.replay import Replayer


def replayer_of(settings: "Settings", clock: Clock = utc_now) -> "Replayer":
    """A replayer by the gateway's rules, with the clock window of `settings`."""
    from joulegate_db.replay import Replayer
    from joulegate_gateway.decoder import Decoder

    decoder = Decoder(max_age_days=settings.max_age_days, max_ahead_seconds=settings.max_ahead_seconds)
    return Replayer(
        settings.database_url, decoder.decode, decoder.bind, max_age_days=settings.max_age_days, clock=clock
    )
