"""Device models as data: the schema, the files, and how they are read."""

from device_drivers.profiles.loader import Profile, load_profile, load_profiles, profile_paths

__all__ = ["Profile", "load_profile", "load_profiles", "profile_paths"]
