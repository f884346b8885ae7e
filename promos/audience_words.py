"""Whom a campaign addresses, in a sentence."""

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from promos.models import CouponCampaign

# Named as the RFM map names them.
SEGMENT_NAMES = {
    "champions": _("Champions"),
    "loyal": _("Loyal"),
    "potential_loyalist": _("Potential loyalists"),
    "new": _("New"),
    "promising": _("Promising"),
    "need_attention": _("Need attention"),
    "about_to_sleep": _("About to sleep"),
    "at_risk": _("At risk"),
    "cant_lose": _("Can't lose"),
    "hibernating": _("Hibernating"),
}


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
        names = ", ".join(str(SEGMENT_NAMES.get(segment, segment)) for segment in campaign.segments)
        parts.append(gettext("segments: %(segments)s") % {"segments": names})
    return "; ".join(parts) + "."
