"""QR codes as inline pictures."""

import segno
from django.utils.safestring import SafeString, mark_safe


def qr_svg(text: str, *, border: int = 4) -> SafeString:
    """Return an SVG of dark modules on nothing: the page puts white under it, in the dark theme too.

    border  the quiet zone in modules; 4 is what the standard asks for
    """
    # Paths of our own making, without style attributes that the CSP would refuse.
    return mark_safe(segno.make(text, micro=False).svg_inline(border=border, omitsize=True))  # noqa: S308
