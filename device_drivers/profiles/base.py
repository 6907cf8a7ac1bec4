"""What the form of every profile is made of, whatever its link: points, rules, titles (see schema.py)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.model import AlarmClass

Scalar = bool | int | float | str
"""A value as YAML writes it. In strict mode ``true`` is never 1 and ``1`` is never text."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
"""Names of points and rules: they become topics, columns and file names."""
RULE_CLASSES = tuple(
    c.value
    for c in AlarmClass
    if c
    not in (
        AlarmClass.LINK_DOWN,
        AlarmClass.GATEWAY_LOST,
        AlarmClass.GATEWAY_STORAGE,
        AlarmClass.GATEWAY_CLOCK,
        AlarmClass.DUTY_ROOM_UNHEARD,
        AlarmClass.DEVICE_OFFLINE,
        AlarmClass.TEST,
    )
)
"""Classes a rule may raise; the others are the gateway's own findings."""


class Part(BaseModel):
    """Base of all parts: strict types, unknown keys refused, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Title(Part):
    """The device's name for people."""

    zh: str
    en: str


class PointForm(Part):
    """One thing measured or set; valid is the range outside of which a value is bad."""

    key: Name
    unit: str | None = None
    valid: tuple[float, float] | None = None
    momentary: bool = False
    deadband: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("valid", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.valid is not None and not self.valid[0] < self.valid[1]:
            raise ValueError("`valid` is [low, high], low first")
        return self


class RuleForm(Part):
    """When a point's value is an alarm. Exactly one of above, below, state, press, rise, fall, stuck.

    above: on at value >= above; below: on at value <= below; state: on while value == state;
    press: every momentary reading is a call of its own; rise, fall: the value changed by this much within window_s;
    stuck: the value is the same for window_s, as no living measurement is.
    """

    id: Name
    class_: Literal[RULE_CLASSES] = Field(alias="class")  # type: ignore[valid-type]
    point: Name
    above: float | None = Field(default=None, allow_inf_nan=False)
    below: float | None = Field(default=None, allow_inf_nan=False)
    state: Scalar | None = None
    press: Literal[True] | None = None
    rise: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    fall: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    stuck: Literal[True] | None = None
    window_s: float | None = Field(default=None, gt=0, le=7 * 86400, allow_inf_nan=False)
    priority: int | None = Field(default=None, ge=1, le=4)
    deadband: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    on_delay_s: float = Field(default=0.0, ge=0, le=86400, allow_inf_nan=False)
    off_delay_s: float = Field(default=0.0, ge=0, le=86400, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_judgement(self) -> Self:
        now = (self.above, self.below, self.state, self.press)
        back = (self.rise, self.fall, self.stuck)
        if sum(x is not None for x in (*now, *back)) != 1:
            raise ValueError("exactly one of `above`, `below`, `state`, `press`, `rise`, `fall`, `stuck`")
        if any(x is not None for x in back) != (self.window_s is not None):
            raise ValueError("`rise`, `fall` and `stuck` need `window_s`, and only they")
        return self


class ProfileForm(Part):
    """What every profile says. status: ``confirmed`` by a document or device named in source, else ``recalled``."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+$")]
    title: Title
    kind: Name
    source: Annotated[str, Field(min_length=1)]
    status: Literal["confirmed", "recalled"]
    supervise_s: float | None = Field(gt=0, le=7 * 86400, allow_inf_nan=False)
    poll_s: float | None = Field(default=None, ge=0.1, le=86400, allow_inf_nan=False)
    rules: list[RuleForm] = []
    simulate: dict[str, Scalar] = {}
    notes: str | None = None


def hang_together(form: Any) -> Any:
    """Rules and resting values name points of this profile, and each name is there once. Raises ValueError."""
    keys = [p.key for p in form.points]
    ids = [r.id for r in form.rules]
    for names, what in ((keys, "point"), (ids, "rule")):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"{what} {twice[0]!r} is there twice")
    for rule in form.rules:
        if rule.point not in keys:
            raise ValueError(f"rule {rule.id!r} names the point {rule.point!r}, which is not there")
        momentary = next(p.momentary for p in form.points if p.key == rule.point)
        if momentary != bool(rule.press):
            raise ValueError(f"rule {rule.id!r}: `press: true` and a momentary point belong together")
    for key in form.simulate:
        if key not in keys:
            raise ValueError(f"`simulate` names the point {key!r}, which is not there")
    return form
