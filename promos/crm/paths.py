"""Where in a message something stands: `client.phones[0].number`, `fields[code=PHONE].value`, `$.shop`.

A name goes into an object, a number into a list, `[name=text]` to the first object of a list whose
member says so. A path is followed from the event, or from the whole message if it begins with `$`.
"""

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from .errors import MappingRefused

LONGEST = 200
_STEP = re.compile(
    r"(?:^|\.)(?P<name>[^.\[\]=]+)|\[(?P<index>[0-9]{1,4})\]|\[(?P<key>[^\[\]=]+)=(?P<text>[^\[\]=]*)\]"
)

Step = str | int | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Path:
    text: str
    from_message: bool
    steps: tuple[Step, ...]

    def find(self, message: Any, event: Any) -> Any:
        """Return what stands there; None where nothing does."""
        found = message if self.from_message else event
        for step in self.steps:
            found = _enter(found, step)
            if found is None:
                return None
        return found


def read_path(text: Any, *, field: str) -> Path:
    """Return the path. Raises MappingRefused, naming the field of the mapping."""
    if not isinstance(text, str) or not text or len(text) > LONGEST:
        raise MappingRefused(
            _("%(field)s: a path such as client.phone is needed.") % {"field": field}, field=field
        )
    from_message = text == "$" or text.startswith(("$.", "$["))
    rest = text[1:].removeprefix(".") if from_message else text
    steps: list[Step] = []
    place = 0
    while place < len(rest):
        match = _STEP.match(rest, place)
        if match is None:
            raise MappingRefused(
                _("%(field)s: «%(path)s» is no path. Write names with dots, [0] for the first of a list.")
                % {"field": field, "path": text},
                field=field,
            )
        place = match.end()
        if match["name"]:
            steps.append(match["name"])
        else:
            steps.append(int(match["index"]) if match["index"] else (match["key"], match["text"]))
    return Path(text, from_message, tuple(steps))


def _enter(found: Any, step: Step) -> Any:
    if isinstance(step, str):
        return found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, list):
        return None
    if isinstance(step, int):
        return found[step] if step < len(found) else None
    name, text = step
    return next((item for item in found if isinstance(item, dict) and as_text(item.get(name)) == text), None)


def as_text(value: Any) -> str:
    """Return a value of JSON as the mapping names it: `true`, `12`, `12.50`; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
