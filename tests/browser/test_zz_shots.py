from datetime import timedelta
from decimal import Decimal as D
import pytest
from django.utils import timezone
from loyalty.models import *
from tests.factories import *
from tests.loyalty.tier_rows import *
from tests.browser.test_member_pages import chromium, sent, sign_in, PHONE, QUIET, sideways
pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

def test_shots(live_server, sent, chromium_shots=None):
    now = timezone.now()
    b = BusinessFactory(name="Печём вместе")
    m = MemberFactory(phone=PHONE, status_tier=StatusTier.objects.get(level=2), tier_valid_until=now+timedelta(days=200), referral_code="ABCD2345")
    paid(m, b, "12500.00", at=now - timedelta(days=30)); paid(m, b, "25000.00", at=now - timedelta(days=300))
    for f,t,r,s,d in ((1,2,"rise","30150.00",700),(2,3,"rise","101200.50",650),(3,2,"review","64000.00",160)):
        TierChange.objects.create(member=m, from_level=f,to_level=t,reason=r,turnover_rub=D(s),created_at=now-timedelta(days=d))
    new = MemberFactory(referral_code="NEWC2345", first_name="Олег")
    for name, st, d in (("Нина","joined",None),("Олег","rewarded",3),("","rewarded",20),("Рая","voided",1),("Света","refused",1)):
        n = MemberFactory(first_name=name); sa = None if d is None else now-timedelta(days=d)
        p = paid(n,b,"600.00",at=sa) if sa else None
        Referral.objects.create(inviter=m,newcomer=n,code=m.referral_code,status=st,transaction=p,settled_at=sa)
    BonusLot.objects.create(member=m,issuer=b,kind="referral",accrued=300,remaining=300,available_from=now+timedelta(days=11),expires_at=now+timedelta(days=300))
    from playwright.sync_api import sync_playwright
    with sync_playwright() as pw:
        br = pw.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        import os
        for who, member in (("a", m), ("b", new)):
          pass
        ctx = br.new_context(locale="ru-RU", viewport={"width":360,"height":740}); page = ctx.new_page()
        sign_in(page, live_server.url, sent)
        cookies = ctx.cookies()
        for w in (360,1280):
            for scheme in ("light","dark"):
                for loc in ("ru-RU","en-GB"):
                    for names, ck in (((("tier","/tier/"),("invite","/invite/"),("home","/")),cookies),((("join","/join/abcd-2345/"),("void","/sign-in/?ref=NOPE"),),[])):
                        c = br.new_context(locale=loc, color_scheme=scheme, viewport={"width":w,"height":800})
                        c.add_cookies(ck); p = c.new_page()
                        for n,u in names:
                            p.goto(live_server.url+u)
                            if sideways(p): print("SIDEWAYS", n, w, loc, sideways(p))
                            p.screenshot(path=f"/tmp/t_shots/{n}-{w}-{scheme}-{loc[:2]}.png", full_page=True)
                        c.close()
        br.close()
