"""``streams check``: what must be right before events flow, and what each vendor would get."""
