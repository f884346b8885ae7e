"""Who is in which segment of RFM, and what a shop owner does about each."""

from django.utils.translation import gettext_lazy as _

from promos.segments import Segment

# One line for a shop owner: who they are and what to do.
ADVICE = {
    Segment.CHAMPIONS: _("Bought in the last days and buy often. Thank them by name."),
    Segment.LOYAL: _("Come back steadily. Show them something new."),
    Segment.POTENTIAL_LOYALIST: _("Came recently and more than once. One good reason makes them regulars."),
    Segment.NEW: _("Just made the first purchase. Invite them for a second one."),
    Segment.PROMISING: _("Bought once, not long ago. Remind them of yourself."),
    Segment.NEED_ATTENTION: _("Used to drop in, now less often. A small present brings them back."),
    Segment.ABOUT_TO_SLEEP: _(
        "Bought little and have not been for a while. Call them before they forget you."
    ),
    Segment.AT_RISK: _("Bought often, but long ago. Ask what went wrong."),
    Segment.CANT_LOSE: _("Were among your best, and are gone. Call them yourself."),
    Segment.HIBERNATING: _("Came rarely and long ago. Do not spend much on them."),
}
# By recency score, rows 1 to 5, and frequency score, columns 1 to 5 (rules.md, RFM).
BY_SCORES = (
    (Segment.HIBERNATING, Segment.HIBERNATING, Segment.AT_RISK, Segment.AT_RISK, Segment.CANT_LOSE),
    (Segment.HIBERNATING, Segment.HIBERNATING, Segment.AT_RISK, Segment.AT_RISK, Segment.CANT_LOSE),
    (
        Segment.ABOUT_TO_SLEEP,
        Segment.ABOUT_TO_SLEEP,
        Segment.NEED_ATTENTION,
        Segment.LOYAL,
        Segment.LOYAL,
    ),
    (
        Segment.PROMISING,
        Segment.POTENTIAL_LOYALIST,
        Segment.POTENTIAL_LOYALIST,
        Segment.LOYAL,
        Segment.LOYAL,
    ),
    (
        Segment.NEW,
        Segment.POTENTIAL_LOYALIST,
        Segment.POTENTIAL_LOYALIST,
        Segment.CHAMPIONS,
        Segment.CHAMPIONS,
    ),
)
