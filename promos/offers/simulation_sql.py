"""The SQL of a simulation: the conditions and the effect of a rule over stored purchases.

What is put together here is text of our own; every value travels as a parameter.
"""

from typing import Any

from .rules import COUPON, DISCOUNT_FIXED, DISCOUNT_PERCENT, FIXED, MULTIPLIER, PERCENT, Conditions, Rule

TOUCHED = """
    WITH bills AS (
        SELECT t.id, t.user_id, t.created_at, t.created_at AT TIME ZONE %(zone)s AS local_time,
               (t.explanation #>> '{{tier,level}}')::int AS tier,
               t.amount - t.coupon_discount AS payable, t.amount,
               (t.explanation ->> 'earn_base')::numeric AS base,
               coalesce(t.explanation #>> '{{inputs,accrual_percent}}',
                        t.explanation #>> '{{tier,percent}}')::numeric AS percent,
               CASE WHEN t.explanation #>> '{{inputs,coupon,benefit}}' = 'multiplier'
                    THEN (t.explanation #>> '{{inputs,coupon,value}}')::numeric ELSE 1 END AS by_coupon
               {covered}
        FROM transactions t {lines}
        WHERE t.business_id = %(business)s AND t.kind = 'purchase'
          AND t.created_at >= %(since)s AND t.created_at < %(until)s
          {conditions}
    ), given AS (
        SELECT id, user_id, created_at, local_time::date AS day, tier,
               {bonuses} AS bonuses, {discount} AS discount
        FROM bills {parts}
    )
"""
# Of the lines that the categories name: their roubles, and what of them, and of all, earns. Without lines
# the whole bill is named.
LINES = """
    LEFT JOIN LATERAL (
        SELECT sum(amount) FILTER (WHERE named) AS named_amount,
               coalesce(sum(paid) FILTER (WHERE named AND earns), 0) AS named_paid,
               coalesce(nullif(sum(paid) FILTER (WHERE earns), 0), 1) AS all_paid
        FROM jsonb_array_elements(t.lines) WITH ORDINALITY AS receipt(line, number), LATERAL (
            SELECT coalesce(nullif(line ->> 'category', ''), t.category) = ANY(%(categories)s) AS named,
                   (line ->> 'amount')::numeric AS amount,
                   (t.explanation -> 'lines' -> (number - 1)::int ->> 'amount_paid')::numeric AS paid,
                   coalesce((t.explanation #> '{inputs,earning_lines}' ->> (number - 1)::int)::boolean, true)
                       AS earns
        ) AS line_of
    ) AS by_line ON t.lines IS NOT NULL
"""
COVERED = """
    , coalesce(named_amount, t.amount) AS named_amount,
    coalesce(named_amount, t.amount - t.coupon_discount) AS named_payable,
    coalesce(named_paid, 1) AS named_paid, coalesce(all_paid, 1) AS all_paid
"""
NAMED = """CASE WHEN t.lines IS NOT NULL THEN EXISTS (
        SELECT FROM jsonb_array_elements(t.lines) AS line
        WHERE coalesce(nullif(line ->> 'category', ''), t.category) = ANY(%(categories)s)
    ) ELSE t.category = ANY(%(categories)s) END"""
# Weeks and tiers with their sums, then each tier's members, then all of them.
SUMMED = """
    , touched AS MATERIALIZED (
        SELECT user_id, tier, date_trunc('week', day)::date AS week, bonuses, discount
        FROM given WHERE {counts}
    ), members AS MATERIALIZED (SELECT user_id, tier FROM touched GROUP BY user_id, tier)
    SELECT week, tier, count(*), sum(bonuses), sum(discount) FROM touched GROUP BY week, tier
    UNION ALL SELECT NULL, tier, count(*), NULL, NULL FROM members GROUP BY tier
    UNION ALL SELECT NULL, NULL, count(DISTINCT user_id), NULL, NULL FROM members
"""
IN_ORDER = """
    SELECT user_id::text, day - date '2000-01-03', tier, (bonuses * 100)::bigint, (discount * 100)::bigint
    FROM given WHERE {counts}
    ORDER BY created_at, id
"""
# What a purchase is looked at for, whether or not the offer touches it.
LOOKED_AT = """
    SELECT coalesce(sum(purchases), 0)::bigint, count(*) FROM (
        SELECT user_id, count(*) AS purchases FROM transactions
        WHERE business_id = %(business)s AND kind = 'purchase'
          AND created_at >= %(since)s AND created_at < %(until)s
        GROUP BY user_id
    ) buyers
"""


def conditions_sql(asked: Conditions, params: dict[str, Any]) -> str:
    """Return the conditions, but for the dates, as SQL over `transactions t`; values go into `params`."""
    local = "(t.created_at AT TIME ZONE %(zone)s)"
    parts = []
    if asked.weekdays:
        params["weekdays"] = list(asked.weekdays)
        parts.append(f"extract(isodow FROM {local})::int = ANY(%(weekdays)s)")
    if asked.hours:
        params["from_hour"], params["until_hour"] = asked.hours.since, asked.hours.until
        joint = "AND" if asked.hours.since < asked.hours.until else "OR"
        parts.append(f"({local}::time >= %(from_hour)s {joint} {local}::time < %(until_hour)s)")
    if asked.min_amount is not None:
        params["min_amount"] = asked.min_amount
        parts.append("t.amount >= %(min_amount)s")
    if asked.categories:
        params["categories"] = list(asked.categories)
        parts.append(NAMED)
    if asked.tiers:
        params["tiers"] = list(asked.tiers)
        parts.append("(t.explanation #>> '{tier,level}')::int = ANY(%(tiers)s)")
    if asked.segments:
        params["segments"] = list(asked.segments)
        parts.append("t.user_id IN (SELECT user_id FROM member_segments WHERE segment = ANY(%(segments)s))")
    if asked.first_purchase:
        parts.append(
            """NOT EXISTS (
                SELECT FROM transactions earlier
                WHERE earlier.user_id = t.user_id AND earlier.business_id = t.business_id
                  AND earlier.kind = 'purchase' AND (earlier.created_at, earlier.id) < (t.created_at, t.id)
            )"""
        )
    if asked.birthday_days is not None:
        params["birthday_days"] = asked.birthday_days
        params["years"] = [
            year + more for year in (params["since"].year, params["until"].year) for more in (-1, 0, 1)
        ]
        # Of 29 February 1 March in a common year: the day of the month is counted from the first.
        parts.append(
            f"""EXISTS (
                SELECT FROM users u, unnest(%(years)s) AS y
                WHERE u.id = t.user_id AND abs({local}::date - (
                    make_date(y, extract(month FROM u.birth_date)::int, 1)
                    + extract(day FROM u.birth_date)::int - 1
                )) <= %(birthday_days)s
            )"""  # noqa: S608
        )
    if asked.attended_event:
        params["event"] = asked.attended_event
        parts.append(
            """EXISTS (
                SELECT FROM event_registrations r
                WHERE r.user_id = t.user_id AND r.event_id = %(event)s AND r.status = 'attended'
            )"""
        )
    return "".join(f" AND {part}" for part in parts)


def effect_sql(rule: Rule) -> tuple[str, str, str, str]:
    """Return SQL of bonuses and of discount over `bills`, what those need joined, and what is a use."""
    kind, by_line = rule.effect.kind, bool(rule.conditions.categories)
    if kind == COUPON:
        return "0.00", "0.00", "", "true"
    if kind in (DISCOUNT_PERCENT, DISCOUNT_FIXED):
        amount = "named_amount" if by_line else "amount"
        off = f"round({amount} * %(value)s * 0.01, 2)" if kind == DISCOUNT_PERCENT else "%(value)s::numeric"
        # Less is paid, so the tier gives less: below zero. An offer for some lines goes before a coupon,
        # which then takes off what is left.
        less = (
            "least(round(greatest(base - least(off, payable), 0) * percent * by_coupon * 0.01, 2) "
            "- round(base * percent * by_coupon * 0.01, 2), 0)"
        )
        most = "named_payable" if by_line else "payable"
        return less, "off", f", LATERAL (SELECT least({off}, {most}) AS off) o", "discount > 0"
    alone = {
        MULTIPLIER: "by_tier * (%(value)s - 1)",
        PERCENT: "base * %(value)s * 0.01",
        FIXED: "%(value)s::numeric",
    }[kind]
    coupon_alone, more = "by_tier * (by_coupon - 1)", alone
    if by_line:
        # Times what all lines pay, so that it is divided once; a fixed sum is not shared out.
        share = "CASE WHEN named_paid > 0 THEN all_paid ELSE 0 END" if kind == FIXED else "named_paid"
        alone, coupon_alone = f"{alone} * {share}", f"{coupon_alone} * all_paid"
        more = f"{alone} / all_paid"
    if kind == MULTIPLIER:
        more = f"by_coupon * {more}"
    capped = f"round(least(by_tier * by_coupon + {more}, base * %(cap)s * 0.01), 2)"
    # A coupon's multiplier takes its part of what both bring, by largest remainder; see `stacking.combine`.
    parts = f"""
        , LATERAL (SELECT base * percent * 0.01 AS by_tier) tier_part
        , LATERAL (SELECT greatest({capped} - round(by_tier, 2), 0) AS extra) e
        , LATERAL (SELECT CASE WHEN by_coupon = 1 THEN extra ELSE ceil(
              extra * 100 * {alone} / nullif({alone} + {coupon_alone}, 0) - 0.5
          ) / 100 END AS part) p
    """
    return "part", "0.00", parts, "bonuses > 0"
