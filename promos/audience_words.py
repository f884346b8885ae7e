"""Whom a campaign addresses, in a sentence."""

from django.utils.translation import gettext, ngettext

from promos.models import CouponCampaign
from promos.segments import Segment


def audience_words(campaign: CouponCampaign) -> str:
    """Return e.g. “Buyers of “Tea” of the last 30 days; tiers 3, 4; segments: Champions.”"""
    business = {"business": campaign.business.name}
    days = campaign.bought_within_days
    if days is not None:
        who = ngettext(
            "Buyers of “%(business)s” of the last %(days)d day",
            "Buyers of “%(business)s” of the last %(days)d days",
            days,
        ) % {**business, "days": days}
    elif campaign.reaches_everybody:
        who = gettext("All members of the circle")
    else:
        who = gettext("All buyers of “%(business)s”") % business
    parts = [who]
    if campaign.tiers:
        parts.append(gettext("tiers: %(tiers)s") % {"tiers": ", ".join(map(str, sorted(campaign.tiers)))})
    if campaign.segments:
        names = ", ".join(Segment(segment).label for segment in campaign.segments)
        parts.append(gettext("segments: %(segments)s") % {"segments": names})
    return "; ".join(parts) + "."
