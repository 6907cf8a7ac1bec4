"""Measurements on real processes. They print figures; they are no tests, because a busy machine is no fault."""
