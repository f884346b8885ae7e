"""What an embedded server answers when it cannot do what was asked."""


class EmbeddedError(Exception):
    """One sentence for the operator; nothing was left running by the refused step."""
