"""What leaves the building: to the duty room, to the city, to neighbours' systems."""
