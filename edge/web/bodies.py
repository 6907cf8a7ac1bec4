"""The person in a request's body."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.model import Person, Via

NAME_LENGTH_MAX = 100


class ByBody(BaseModel):
    """The person who asks."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)
    id: str = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    name: str = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    via: Via = Via.API


By = ByBody | Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)]
"""A plain name stands for a person known by it alone."""


def person_of(by: By) -> Person:
    """As the noun."""
    return Person(by, by, Via.API) if isinstance(by, str) else Person(by.id, by.name, by.via)
